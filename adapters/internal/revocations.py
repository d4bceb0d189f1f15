"""Revoked tokens and sessions from the identity service, for processes that have no access to its database."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel

from adapters.internal.client import InternalClient


class Revoked(BaseModel):
    """The subjects that were revoked, with their times (seconds since the epoch, by Postgres's clock)."""

    revoked: dict[UUID, float]


class RevocationsClient:
    """The identity service's `GET /internal/v1/revocations`."""

    def __init__(self, identity_url: str, token: str, *, seconds: float) -> None:
        self._identity = InternalClient("identity", identity_url, token, seconds=seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._identity.close()

    async def read(self, since: float) -> dict[UUID, float]:
        """The subjects that were revoked since that time.

        Raises:
            Refused: UNAVAILABLE: The identity service gives no proper answer.
        """
        answer = await self._identity.get("/internal/v1/revocations", Revoked, params={"since": str(since)})
        return answer.revoked
