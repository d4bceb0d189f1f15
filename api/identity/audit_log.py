"""Where services that do not have the audit log hand in what is to be noted; for our own processes only."""

from __future__ import annotations

from fastapi import APIRouter, status
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.internal.audit_log import Deed
from api.auth.guards import OUR_PROCESSES
from api.identity.context import AtFrontDesk, FrontDesk
from db.identity import accounts
from db.identity.audit_log import ORIGIN, Entry, of_client, of_user

router = APIRouter(include_in_schema=False, dependencies=[OUR_PROCESSES])


@router.post("/internal/v1/audit-log", status_code=status.HTTP_204_NO_CONTENT)
async def note(deed: Deed, desk: AtFrontDesk) -> None:
    async with desk.engine.begin() as connection:
        actor, origin = await _actor_and_origin(connection, desk, deed)
        entry = Entry(actor, deed.action, deed.object, ",".join(deed.roles), origin, deed.request_id)
        await desk.audit_log.append(connection, entry)


async def _actor_and_origin(connection: AsyncConnection, desk: FrontDesk, deed: Deed) -> tuple[str, bytes | None]:
    """Who did it, and from where: sealed, but of a client, whose address is nobody's and which has no key."""
    if deed.client_id == deed.user_id:
        return of_client(deed.user_id), deed.origin.encode()
    key = await accounts.key_of(connection, desk.vault, deed.user_id)
    return of_user(deed.user_id), key.seal(ORIGIN, deed.origin.encode()) if key else None
