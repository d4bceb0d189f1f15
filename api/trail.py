"""Leaves a trail in the audit log: what support, operators and organizers do, and what people do to their accounts."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import orjson
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from api.patience import promptly
from api.resources import Open, Resources
from api.security import Principal
from db.identity import accounts
from db.identity.audit_log import NOBODY, Entry, of_user
from db.identity.vault import PersonalKey

_LONGEST_AGENT: Final = 200


class Trail(NamedTuple):
    """Notes what is done in one request."""

    opened: Resources
    request: Request

    async def note(self, caller: Principal, action: str, object: str) -> None:
        """Note what a person is about to do in a service whose database has no audit log: without the note, not at all.

        Raises:
            TimeoutError: Identity's database does not answer.
        """
        await promptly(self._note_alone(caller, action, object))

    async def _note_alone(self, caller: Principal, action: str, object: str) -> None:
        async with self.opened.audited.begin() as connection:
            await self.note_in(connection, caller, action, object)

    async def note_in(self, connection: AsyncConnection, caller: Principal, action: str, object: str) -> None:
        """Note what a person does in the same transaction of identity's database, as its last statement."""
        key = await accounts.key_of(connection, self.opened.vault, caller.user_id)
        await self._append(
            connection, Entry(of_user(caller.user_id), action, object, ",".join(sorted(caller.roles))), key
        )

    async def note_unnamed(self, connection: AsyncConnection, action: str, user_id: UUID, key: PersonalKey) -> None:
        """Note what somebody who is not logged in does to an account, such as by a token from its mail."""
        await self._append(connection, Entry(NOBODY, action, of_user(user_id)), key)

    async def _append(self, connection: AsyncConnection, entry: Entry, key: PersonalKey | None) -> None:
        origin = key.seal("origin", self.origin()) if key else None
        noted = replace(entry, origin=origin, request_id=self.request.scope.get("request_id"))
        await self.opened.audit_log.append(connection, noted)

    def origin(self) -> bytes:
        """From where the request comes, as JSON. It is personal: seal it."""
        agent = self.request.headers.get("user-agent", "")[:_LONGEST_AGENT]
        address = self.request.client.host if self.request.client else None
        return orjson.dumps({"user_agent": agent, "address": address})


async def _trail(opened: Open, request: Request) -> Trail:
    return Trail(opened, request)


AtTrail = Annotated[Trail, Depends(_trail)]
