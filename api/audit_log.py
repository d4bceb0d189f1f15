"""Where services that do not have the audit log hand in what is to be noted; for our own processes only."""

from __future__ import annotations

from fastapi import APIRouter, status

from adapters.audit_trail import Deed
from api.front_desk import AtFrontDesk
from api.security import OUR_PROCESSES
from db.identity import accounts
from db.identity.audit_log import Entry, of_user

router = APIRouter(include_in_schema=False, dependencies=[OUR_PROCESSES])


@router.post("/internal/v1/audit-log", status_code=status.HTTP_204_NO_CONTENT)
async def note(deed: Deed, desk: AtFrontDesk) -> None:
    async with desk.engine.begin() as connection:
        key = await accounts.key_of(connection, desk.vault, deed.user_id)
        origin = key.seal("origin", deed.origin.encode()) if key else None
        roles = ",".join(deed.roles)
        entry = Entry(of_user(deed.user_id), deed.action, deed.object, roles, origin, deed.request_id)
        await desk.audit_log.append(connection, entry)
