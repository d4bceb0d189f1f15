"""Leaves a trail in the audit log of what support, operators and organizers do: without the entry it is not done."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple
from uuid import UUID

import orjson
from fastapi import Depends, Request

from adapters.internal.audit_log import AuditTrail, Deed
from api.auth.tokens import Principal
from api.http.resources import Open

_LONGEST_AGENT: Final = 200


class Trail(NamedTuple):
    """Notes what is done in one request to a service whose own database has no audit log."""

    audit_trail: AuditTrail
    request: Request

    async def note(self, caller: Principal, action: str, object: str) -> None:
        """Note what a person is about to do.

        Raises:
            Refused: UNAVAILABLE: identity cannot note it.
        """
        deed = Deed(
            user_id=caller.user_id,
            client_id=caller.client_id,
            roles=tuple(sorted(caller.roles)),
            action=action,
            object=object,
            origin=origin_of(self.request, caller.client_id).decode(),
            request_id=self.request.scope.get("request_id"),
        )
        await self.audit_trail.note(deed)


def origin_of(request: Request, client_id: UUID | None = None) -> bytes:
    """From where a request comes, and through which application of others, as JSON. It is personal: seal it."""
    agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
    origin = {"user_agent": agent, "address": request.client.host if request.client else None}
    return orjson.dumps(origin | ({"client_id": client_id} if client_id else {}))


async def _trail(opened: Open, request: Request) -> Trail:
    return Trail(opened.audit_trail, request)


AtTrail = Annotated[Trail, Depends(_trail)]
