"""Records in the audit log what support, operators and organizers do; an action that cannot be recorded is refused."""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import orjson
from fastapi import Depends, Request

from adapters.internal.audit_log import AuditEntry, AuditLogClient
from api.auth.tokens import Principal
from api.http.resources import part

_LONGEST_AGENT: Final = 200
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class AuditRecorder(NamedTuple):
    """Records what is done in one request to a service that has no audit log of its own."""

    audit_log_client: AuditLogClient
    request: Request

    async def record(
        self, caller: Principal, action: str, object: str, *, reason: str | None = None, typed: str | None = None
    ) -> None:
        """Record what a person is about to do.

        Args:
            caller: The person.
            action: Such as `refund.ordered`.
            object: Such as `booking/<id>`. It is never erased: nothing that a person has typed may be in it.
            reason: Why, in the person's own words. It may be personal data, so it is sealed with the origin.
            typed: What the person searched for, or digests of what they read. It is sealed, too.

        Raises:
            Refused: UNAVAILABLE: identity cannot record it.
        """
        entry = AuditEntry(
            user_id=caller.user_id,
            client_id=caller.client_id,
            roles=tuple(sorted(caller.roles)),
            action=action,
            object=object,
            origin=origin_of(self.request, caller.client_id, reason=reason, typed=typed).decode(),
            request_id=readable_request_id(self.request),
        )
        await self.audit_log_client.record(entry)


def origin_of(request: Request, client_id: UUID | None = None, **words: str | None) -> bytes:
    """The address and application that a request comes from, and its words, as JSON. It is personal data: seal it.

    A request id that is no UUID is here, too: the caller has written it, and may have written a name.
    """
    agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
    origin = {"user_agent": agent, "address": request.client.host if request.client else None}
    own = None if readable_request_id(request) else request.scope.get("request_id")
    more = {"request_id": own, "client_id": client_id, **words}
    return orjson.dumps(origin | {name: value for name, value in more.items() if value})


def readable_request_id(request: Request) -> str | None:
    """The request's id for an entry that is never erased: only a UUID says nothing about a person."""
    given = request.scope.get("request_id")
    return given if given and _UUID.fullmatch(given) else None


async def _recorder(
    client: Annotated[AuditLogClient, Depends(part(AuditLogClient))], request: Request
) -> AuditRecorder:
    return AuditRecorder(client, request)


Recorder = Annotated[AuditRecorder, Depends(_recorder)]
