"""Seals words about a person under that person's key, which the identity service alone has."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from adapters.internal.client import InternalClient

TEXTS_OF_A_CALL: Final = 10
"""A call has no log-in, so its body may have 16 KiB: enough for ten of the longest reasons."""


class Purpose(StrEnum):
    """What other services keep sealed; sealed for one purpose, words open for no other, nor as identity's own data."""

    REFUND_REASON = "refund reason"
    PAYMENT_BUYER = "buyer of a payment"


class Words(BaseModel):
    """Attributes: texts: in clear or, sealed, in base64url."""

    model_config = ConfigDict(frozen=True)

    purpose: Purpose
    texts: tuple[str, ...]


class Erasure(BaseModel):
    """Attributes: is_erased: the account existed, and was erased."""

    is_erased: bool


class PersonalDataClient:
    """The identity service's `POST /internal/v1/users/{user_id}/sealed`, `…/opened`, and `GET …/erasure`."""

    def __init__(self, identity_url: str, token: str, *, seconds: float = 1.5) -> None:
        """Open the client; `seconds` is the most that a call may take."""
        self._identity = InternalClient("identity", identity_url, token, seconds=seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._identity.close()

    async def seal(self, user_id: UUID, purpose: Purpose, text: str) -> str | None:
        """The text under the person's key; None if there is no such person, or they are erased.

        Raises:
            Refused: UNAVAILABLE: The identity service gives no proper answer.
        """
        sealed = await self._ask(user_id, "sealed", Words(purpose=purpose, texts=(text,)))
        return sealed[0] if sealed else None

    async def open(self, user_id: UUID, purpose: Purpose, sealed: Sequence[str]) -> Sequence[str] | None:
        """The sealed texts, in the same order, by as many calls as they need; None if the person is erased.

        Raises:
            Refused: UNAVAILABLE: The identity service gives no proper answer.
        """
        opened: list[str] = []
        for start in range(0, len(sealed), TEXTS_OF_A_CALL):
            texts = tuple(sealed[start : start + TEXTS_OF_A_CALL])
            part = await self._ask(user_id, "opened", Words(purpose=purpose, texts=texts))
            if part is None:
                return None
            opened += part
        return tuple(opened)

    async def is_erased(self, user_id: UUID) -> bool:
        """Whether the person's account was erased.

        Raises:
            Refused: UNAVAILABLE: The identity service gives no proper answer.
        """
        return (await self._identity.get(f"/internal/v1/users/{user_id}/erasure", Erasure)).is_erased

    async def _ask(self, user_id: UUID, route: str, words: Words) -> Sequence[str] | None:
        answer = await self._identity.ask(f"/internal/v1/users/{user_id}/{route}", words, Words)
        return answer.texts if answer else None
