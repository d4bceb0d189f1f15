"""The accounts that everyone can rely on in development mode."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from api.identity.passwords import hash_password
from db.identity import accounts
from db.identity.vault import Vault
from domain.identity import Profile, Role

PASSWORD = "seatwright-demo-1"
ACCOUNTS = {
    "buyer@example.test": ("Demo Buyer", {Role.CUSTOMER}),
    "organizer@example.test": ("Demo Organizer", {Role.CUSTOMER, Role.ORGANIZER}),
    "support@example.test": ("Demo Support", {Role.CUSTOMER, Role.SUPPORT}),
    "operator@example.test": ("Demo Operator", {Role.CUSTOMER, Role.OPERATOR}),
}


async def seed_accounts(engine: AsyncEngine, vault: Vault) -> None:
    """Make the accounts that do not exist yet, in the identity database."""
    for email, (name, roles) in ACCOUNTS.items():
        profile, password_hash = Profile(email=email, name=name), await hash_password(PASSWORD)
        async with engine.begin() as connection:
            account = await accounts.register(connection, vault, profile, password_hash=password_hash, roles=roles)
            if account:
                await accounts.set_verified(connection, account.id)
