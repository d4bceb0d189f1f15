"""The audit log, as services write it that do not have it: through identity, which has."""

from __future__ import annotations

from uuid import UUID

import httpx2
from pydantic import BaseModel, ConfigDict

from domain.identity import Role
from domain.problems import ProblemType, Refused


class AuditEntry(BaseModel):
    """What a person is about to do, or a client on its own behalf.

    Attributes:
        client_id: The application of others by which it is done; the actor itself where that acts for nobody.
        action: Such as `event.cancelled`.
        object: Such as `event/<id>`.
        origin: From where, as JSON. Of a person it is personal: identity seals it.
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
    """Identity's internal `POST /internal/v1/audit-log`."""

    def __init__(self, identity_url: str, token: str) -> None:
        self._client = httpx2.AsyncClient(
            base_url=identity_url, headers={"Authorization": f"Bearer {token}"}, timeout=1.5, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def record(self, entry: AuditEntry) -> None:
        """Have it noted; what is not noted must not be done.

        Raises:
            Refused: UNAVAILABLE: identity does not answer, or not as agreed.
        """
        body, headers = entry.model_dump_json(), {"Content-Type": "application/json"}
        try:
            (await self._client.post("/internal/v1/audit-log", content=body, headers=headers)).raise_for_status()
        except httpx2.HTTPError as error:
            raise Refused(ProblemType.UNAVAILABLE, f"It cannot be noted: {type(error).__name__}.") from None
