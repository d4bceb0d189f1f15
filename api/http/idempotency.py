"""What makes a repeated request the same: the caller's key names the booking, the body's digest tells repetitions."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar
from uuid import UUID, uuid4

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from domain.problems import ProblemType, Refused

T = TypeVar("T")

KEY_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,255}")
_KEY = Header(
    alias="Idempotency-Key",
    min_length=1,
    max_length=255,
    pattern=r"^[\x21-\x7e]+$",
    description="Repeat a call with the same key to learn its outcome; if missing, one is made and returned.",
)


async def _key(request: Request, response: Response, given: Annotated[str | None, _KEY] = None) -> str:
    # A refusal is another response than the one at hand: `problems.respond` takes the key from the request's state.
    key = given or str(uuid4())
    request.state.idempotency_key = response.headers["Idempotency-Key"] = key
    return key


IdempotencyKey = Annotated[str, Depends(_key)]
"""The caller's key, or one that is made for this call; every answer returns it, also a refusal."""


def booking_id_for(user_id: UUID, key: str, secret: str) -> UUID:
    """The id that a user's key gives a booking: any API process finds the same one, and nobody can guess another's.

    A UUIDv8 (RFC 9562, section 5.8) of the first bits of an HMAC-SHA256.
    """
    return _keyed_id(secret, user_id.bytes + key.encode())


def refund_id_for(user_id: UUID, key: str, secret: str) -> UUID:
    """The id that a user's key gives a refund, likewise; another one than it gives a booking."""
    return _keyed_id(secret, b"refund " + user_id.bytes + key.encode())


def exchange_id_for(user_id: UUID, key: str, secret: str) -> UUID:
    """The id that a user's key gives an exchange, likewise."""
    return _keyed_id(secret, b"exchange " + user_id.bytes + key.encode())


def _keyed_id(secret: str, text: bytes) -> UUID:
    digest = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    bits = int.from_bytes(digest[:16])
    bits = bits & ~(0xF << 76) | (8 << 76)
    bits = bits & ~(0x3 << 62) | (2 << 62)
    return UUID(int=bits)


def update_id(command: str, key: str) -> str:
    """The id of a workflow update that a caller's key stands for."""
    return f"{command}:{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def digest(body: BaseModel) -> str:
    """The SHA-256 of what a body says, however it was spelled."""
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


def refuse_other_body(known: str, given: str) -> None:
    """Raise Refused when a key comes back with another body."""
    if known != given:
        raise Refused(
            ProblemType.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used with another body.",
            field="Idempotency-Key",
        )


async def known_or_planned(known: Callable[[], Awaitable[T | None]], plan: Callable[[], Awaitable[object]]) -> T | None:
    """What this key has made already; None where it may be ordered.

    Raises:
        Refused: It would be refused anyway, so no workflow is started for it.
    """
    found = await known()
    if found is None:
        try:
            await plan()
        except Refused:
            found = await known()  # another click of the same key was quicker just now
            if found is None:
                raise
    return found
