"""Takes entries of the audit log from our own processes, which have no audit log themselves."""

from __future__ import annotations

from fastapi import APIRouter, status
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.internal.audit_log import AuditEntry
from api.auth.guards import OUR_PROCESSES
from api.identity.context import Identity, IdentityContext
from db.identity import accounts
from db.identity.audit_log import ORIGIN, Entry, of_client, of_user

router = APIRouter(include_in_schema=False, dependencies=[OUR_PROCESSES])


@router.post("/internal/v1/audit-log", status_code=status.HTTP_204_NO_CONTENT)
async def record(given: AuditEntry, context: Identity) -> None:
    """Append one entry. The address and browser of a person are sealed under that person's key."""
    async with context.engine.begin() as connection:
        actor, origin = await _actor_and_origin(connection, context, given)
        entry = Entry(actor, given.action, given.object, ",".join(given.roles), origin, given.request_id)
        await context.audit_log.append(connection, entry)


async def _actor_and_origin(
    connection: AsyncConnection, context: IdentityContext, given: AuditEntry
) -> tuple[str, bytes | None]:
    """The actor and the origin; a person's origin is sealed, a client's is not personal and has no key."""
    if given.client_id == given.user_id:
        return of_client(given.user_id), given.origin.encode()
    key = await accounts.key_of(connection, context.vault, given.user_id)
    return of_user(given.user_id), key.seal(ORIGIN, given.origin.encode()) if key else None
