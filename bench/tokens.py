"""(f) The CPU time of authentication and authorization, by access token and role, for each request."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

from fastapi import Request
from joserfc.jwk import OKPKey

from api.auth.guards import admits, bearer
from api.auth.tokens import AccessTokens, KeyRing, Principal
from bench.figures import Figure, measured
from domain.identity import Role

PART: Final = "tokens"
_BUDGET: Final = 200.0  # µs of CPU a request
_REVOKED: Final = 10_000  # eleven log-outs a second for 15 minutes
_REQUESTS: Final = 2_000
_PER_TOKEN: Final = 10  # requests of an inactive client before it gets a new token

Admitted = Callable[[str], Awaitable[Any]]


async def run(*, rounds: int) -> Sequence[Figure]:
    """Measure the CPU time of this process for each request, without HTTP."""
    tokens, admitted = _issuer_and_guard()
    seen = _issue(tokens, 100)
    await _cost(admitted, seen)
    known: list[float] = []
    new: list[float] = []
    mixed: list[float] = []
    for _ in range(rounds):
        known.append(await _cost(admitted, seen * (_REQUESTS // len(seen))))
        new.append(await _cost(admitted, _issue(tokens, _REQUESTS)))
        few = _issue(tokens, _REQUESTS // _PER_TOKEN)
        mixed.append(await _cost(admitted, few * _PER_TOKEN))
    return [
        measured(PART, "token and role, token seen before", known, "µs", at_most=_BUDGET),
        measured(PART, f"token and role, {_PER_TOKEN} requests a token", mixed, "µs", at_most=_BUDGET),
        measured(PART, "token and role, each token new", new, "µs"),
    ]


def _issuer_and_guard() -> tuple[AccessTokens, Admitted]:
    """An issuer with some keys and many revocations, and the guard of a route for organizers."""
    keys = [OKPKey.generate_key("Ed25519", auto_kid=True) for _ in range(2)]
    tokens = AccessTokens("http://bench")
    tokens.ring = KeyRing(tuple(key.as_dict(private=False) for key in keys), keys[-1])
    tokens.revoked = {uuid4(): time.time() for _ in range(_REVOKED)}
    app = SimpleNamespace(state=SimpleNamespace(tokens=tokens))
    admit = admits(Role.ORGANIZER)

    async def admitted(token: str) -> Any:
        headers = [(b"host", b"bench"), (b"authorization", f"Bearer {token}".encode())]
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "app": app})
        return await admit(request, await bearer(request))

    return tokens, admitted


def _issue(tokens: AccessTokens, count: int) -> list[str]:
    organizer = frozenset({Role.CUSTOMER, Role.ORGANIZER})
    return [tokens.issue(Principal(uuid4(), organizer, session_id=uuid4())) for _ in range(count)]


async def _cost(admitted: Admitted, shown: Sequence[str]) -> float:
    """The CPU time of one request in microseconds."""
    gc.collect()
    started = time.process_time()
    for token in shown:
        await admitted(token)
    return (time.process_time() - started) / len(shown) * 1e6
