"""The audit log for services whose own database has none: the identity service writes it."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from adapters.internal.client import InternalClient
from domain.identity import Role

_SECONDS = 1.5  # the caller of the API waits for the entry, and gets 503 within two seconds


class AuditEntry(BaseModel):
    """What a person is about to do, or a client on its own behalf.

    Attributes:
        client_id: The third-party application that acts; it equals `user_id` if the application acts for no person.
        action: Such as `event.cancelled`.
        object: Such as `event/<id>`.
        origin: Address and user agent of the request, as JSON. It is personal data: identity seals it.
    """

    model_config = ConfigDict(frozen=True)

    user_id: UUID
    client_id: UUID | None = None
    roles: tuple[Role, ...]
    action: str
    object: str
    origin: str
    request_id: str | None


class AuditLogClient:
    """The identity service's `POST /internal/v1/audit-log`."""

    def __init__(self, identity_url: str, token: str) -> None:
        self._identity = InternalClient("identity", identity_url, token, seconds=_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._identity.close()

    async def record(self, entry: AuditEntry) -> None:
        """Record an entry; without the entry, the action must not happen.

        Raises:
            Refused: UNAVAILABLE: The entry is not recorded, as far as the caller can know.
        """
        await self._identity.post("/internal/v1/audit-log", entry)
