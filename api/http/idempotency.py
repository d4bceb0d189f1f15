"""What makes a repeated request the same: the caller's key names the booking, and the body's digest has to match."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Set
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
    description="Repeat a call with its key to learn its outcome. Without one, the server makes one and returns it.",
)


async def _key(request: Request, response: Response, given: Annotated[str | None, _KEY] = None) -> str:
    # A refusal is a different response: `problems.respond` takes the key from the request's state.
    key = given or str(uuid4())
    request.state.idempotency_key = response.headers["Idempotency-Key"] = key
    return key


IdempotencyKey = Annotated[str, Depends(_key)]
"""The caller's key, or one that is made for this call. Every answer returns it, refusals included."""


def booking_id_for(user_id: UUID, key: str, secret: str) -> UUID:
    """The id that a user's key gives a booking: every API process finds the same one, and it cannot be guessed.

    A UUIDv8 (RFC 9562, section 5.8) of the first bits of an HMAC-SHA256.
    """
    return _keyed_id(secret, user_id.bytes + key.encode())


def refund_id_for(user_id: UUID, key: str, secret: str) -> UUID:
    """The id that a user's key gives a refund; it differs from the one that it gives a booking."""
    return _keyed_id(secret, b"refund " + user_id.bytes + key.encode())


def exchange_id_for(user_id: UUID, key: str, secret: str) -> UUID:
    """The id that a user's key gives an exchange."""
    return _keyed_id(secret, b"exchange " + user_id.bytes + key.encode())


def _keyed_id(secret: str, text: bytes) -> UUID:
    digest = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    bits = int.from_bytes(digest[:16])
    bits = bits & ~(0xF << 76) | (8 << 76)
    bits = bits & ~(0x3 << 62) | (2 << 62)
    return UUID(int=bits)


def creation_key(user_id: UUID, key: str) -> str:
    """What a user's key is stored as where it creates something whose id is not computed from it."""
    return hashlib.sha256(user_id.bytes + key.encode()).hexdigest()


def update_id(command: str, key: str) -> str:
    """The id of a workflow update that a caller's key stands for."""
    return f"{command}:{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def digest(body: BaseModel, without: Set[str] = frozenset()) -> str:
    """The SHA-256 of what a body means, however it is written, but for some fields."""
    return hashlib.sha256(body.model_dump_json(exclude=set(without)).encode()).hexdigest()


def refuse_other_body(known: str, given: str) -> None:
    """Raise Refused when a key is used again with another body."""
    if known != given:
        raise Refused(
            ProblemType.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used with another body. Use a new key for a new request.",
            field="Idempotency-Key",
        )


async def known_or_planned(known: Callable[[], Awaitable[T | None]], plan: Callable[[], Awaitable[object]]) -> T | None:
    """What this key has made already; None where it may be ordered.

    Raises:
        Refused: The workflow would refuse it, so none is started.
    """
    found = await known()
    if found is None:
        try:
            await plan()
        except Refused:
            found = await known()  # a call with the same key was faster
            if found is None:
                raise
    return found
