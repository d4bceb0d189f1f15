"""What identity's routes work with: its database, the vault, the trail, and a way to have people prove themselves."""

from __future__ import annotations

from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.passwords import check_password
from api.resources import IdentityDatabase, Open
from api.trail import Trail
from db.identity import accounts, second_factors
from db.identity.accounts import Account
from db.identity.vault import Vault
from domain.problems import ProblemType, Refused


class FrontDesk(NamedTuple):
    """Serves one request."""

    engine: AsyncEngine
    vault: Vault
    trail: Trail

    async def account(self, connection: AsyncConnection, user_id: UUID) -> Account:
        """An account, locked until the transaction ends.

        Raises:
            Refused: NOT_FOUND: It has been erased.
        """
        return known(await accounts.locked(connection, self.vault, user_id))

    async def prove_password(self, user_id: UUID, password: str) -> None:
        """Have somebody who is logged in prove once more who they are.

        Raises:
            Refused: FORBIDDEN: The password is wrong.
        """
        async with self.engine.connect() as connection:
            credentials = await accounts.credentials_of(connection, user_id)
        if not (await check_password(password, credentials.password_hash if credentials else None)).fits:
            raise Refused(ProblemType.FORBIDDEN, "The password is wrong.")

    async def prove(self, user_id: UUID, password: str, code: str | None) -> None:
        """Have them prove it by password and, where they have one, second factor: before what weakens or ends all.

        Raises:
            Refused: FORBIDDEN: The password is wrong, or the code.
        """
        await self.prove_password(user_id, password)
        async with self.engine.begin() as connection:
            account = await self.account(connection, user_id)
            if await second_factors.is_in_force(connection, user_id) and not (
                code and await second_factors.use(connection, account, code)
            ):
                raise Refused(ProblemType.FORBIDDEN, "The code of your second factor is wrong, used, or missing.")


async def _front_desk(request: Request, opened: Open, engine: IdentityDatabase) -> FrontDesk:
    return FrontDesk(engine, opened.vault, Trail(opened, request))


AtFrontDesk = Annotated[FrontDesk, Depends(_front_desk)]


def known(account: Account | None) -> Account:
    """The account.

    Raises:
        Refused: NOT_FOUND: There is none, or no more.
    """
    if account is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    return account
