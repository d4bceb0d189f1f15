"""Keeps a process's keys and revocations current, from identity's database or else over HTTP and Redis.

Without the database each revocation comes in two ways, by Redis and by HTTP, so that the loss of one delays none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import httpx2
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.internal.revocations import RevocationsClient
from adapters.redis.revocations import RevocationBoard
from api.auth.key_ring import read_ring
from api.auth.tokens import ALGORITHM, LIFETIME, AccessTokens, KeyRing
from api.http.deadlines import DEADLINE, abandoned_calls_ended, with_deadline
from api.http.resources import Resources
from config.settings import Settings, secret
from db.engine import autocommit
from db.identity import revocations

EVERY: Final = 1.0
"""Seconds between two reads: a revocation takes effect within twice that where it has to reach Redis first."""

_PATIENCE: Final = 10.0
"""Seconds for the first read: a process that starts beside others may need more for it than a caller waits."""

_WAY: Final = 1.0
"""Seconds for each of the two ways, so that one that hangs leaves time for what the other has brought."""

OVERLAP: Final = 60.0
"""Seconds: a transaction that revokes may commit so much later than its clock said."""

_WHOLE_EVERY: Final = 30  # reads; Redis may have been emptied


class KeySync:
    """Updates the keys and revocations that `tokens` checks with."""

    def __init__(self, tokens: AccessTokens, opened: Resources) -> None:
        self._tokens = tokens
        self._settings = opened.settings
        self._board = RevocationBoard(opened.redis)
        self._database: AsyncEngine | None = opened.engines.get("identity")
        self._identity = None if self._database else _revocations_client(opened.settings)
        self._http = httpx2.AsyncClient(base_url=opened.settings.identity_address, timeout=DEADLINE, trust_env=False)
        self._read_at = -EVERY
        self._reading: asyncio.Task[None] | None = None
        self._reads = 0
        self._ways = Ways()

    async def learn(self) -> None:
        """Read now, for a token of an unknown key; at most once a second, whatever callers send.

        Raises:
            TimeoutError: The read takes longer than a caller waits; it goes on.
        """
        await with_deadline(self._read_in_turn())

    async def run(self) -> None:
        """Read once a second until cancelled; while a server is down, what was read last stays."""
        while True:
            await self._read_in_turn()
            await asyncio.sleep(EVERY)

    async def close(self) -> None:
        """Let a read end, so that no connection of it is left open, and close the HTTP clients."""
        if self._reading:
            _, late = await asyncio.wait({self._reading}, timeout=DEADLINE)
            for reading in late:  # the first one may take longer, and would open connections that nothing closes
                reading.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await abandoned_calls_ended()
        await self._http.aclose()
        if self._identity:
            await self._identity.close()

    async def _read_in_turn(self) -> None:
        if self._reading is None and time.monotonic() - self._read_at >= EVERY:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._finish)
        if self._reading is not None:
            await asyncio.shield(self._reading)

    def _finish(self, _: asyncio.Task[None]) -> None:
        self._reading, self._read_at = None, time.monotonic()

    async def _read(self) -> None:
        await asyncio.gather(self._try(self._keys()), self._try(self._revocations()))
        self._reads += 1

    async def _try(self, read: Awaitable[None]) -> None:
        try:
            await with_deadline(read, DEADLINE if self._tokens.ring.published else _PATIENCE)
        except Exception as error:  # whatever it is, what was read before stays in use
            structlog.get_logger().warning("tokens: could not read", error=type(error).__name__)

    async def _keys(self) -> None:
        ring = await self._ring()
        known = self._tokens.ring
        if _contents(ring) != _contents(known):
            self._tokens.ring = ring

    async def _ring(self) -> KeyRing:
        if self._database is None:
            answer = await self._http.get("/.well-known/jwks.json")
            published = answer.raise_for_status().json()["keys"]
            return KeyRing(tuple(key for key in published if key["alg"] == ALGORITHM))
        async with autocommit(self._database) as connection:
            return await read_ring(connection, self._settings)

    async def _revocations(self) -> None:
        whole = self._reads % _WHOLE_EVERY == 0
        oldest = time.time() - LIFETIME - OVERLAP
        since = oldest if whole else max(self._tokens.revoked.values(), default=oldest) - OVERLAP
        found = await self._found(time.time() - since)
        kept = {subject: at for subject, at in self._tokens.revoked.items() if at > oldest}
        self._tokens.revoked = latest(kept, found)
        if self._database is not None:
            await self._board.write(found, forget_before=oldest)

    async def _found(self, seconds: float) -> Mapping[UUID, float]:
        if self._database is None:
            return await self._by_any_way(time.time() - seconds)
        async with autocommit(self._database) as connection:
            return await revocations.recent(connection, timedelta(seconds=seconds))

    async def _by_any_way(self, since: float) -> Mapping[UUID, float]:
        ways = {"redis": self._board.read(since)}
        return await self._ways.read(ways | ({"identity": self._identity.read(since)} if self._identity else {}))


class Ways:
    """Reads revocations in several ways at once, and logs when one is lost or is back."""

    def __init__(self) -> None:
        self._lost: Mapping[str, str] = {}

    async def read(self, ways: Mapping[str, Awaitable[Mapping[UUID, float]]]) -> Mapping[UUID, float]:
        """What the ways that work have brought, by their names.

        Raises:
            ConnectionError: None of them works.
        """
        answers = await asyncio.gather(*(with_deadline(way, _WAY) for way in ways.values()), return_exceptions=True)
        errors = {name: answer for name, answer in zip(ways, answers, strict=True) if isinstance(answer, BaseException)}
        self._note({name: type(error).__name__ for name, error in errors.items()})
        found = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not found:
            raise ConnectionError("neither Redis nor identity says what was revoked")
        return latest(*found)

    def _note(self, lost: Mapping[str, str]) -> None:
        log = structlog.get_logger()
        for name in sorted(lost.keys() - self._lost.keys()):
            log.warning("tokens: a way to revocations is lost", way=name, error=lost[name])
        for name in sorted(self._lost.keys() - lost.keys()):
            log.warning("tokens: a way to revocations is back", way=name)
        self._lost = lost


def latest(*revoked: Mapping[UUID, float]) -> dict[UUID, float]:
    """All of these revocations. A person can be revoked twice, and a source may be late: the last time counts."""
    together: dict[UUID, float] = {}
    for each in revoked:
        together |= {subject: max(at, together.get(subject, at)) for subject, at in each.items()}
    return together


def _revocations_client(settings: Settings) -> RevocationsClient | None:
    """None for a process without the token of our own processes: it serves public routes alone."""
    if settings.internal_token is None:
        return None
    return RevocationsClient(settings.identity_address, secret(settings.internal_token), seconds=_WAY)


def _contents(ring: KeyRing) -> tuple[object, ...]:
    """What differs between two rings that are not the same."""
    signers = [signer.kid if signer else None for signer in (ring.signer, ring.id_tokens.signer)]
    return (ring.published, ring.id_tokens.published, *signers)


@asynccontextmanager
async def keys_in_sync(tokens: AccessTokens, opened: Resources) -> AsyncIterator[KeySync]:
    """Read once a second for as long as this is open."""
    key_sync = KeySync(tokens, opened)
    running = asyncio.create_task(key_sync.run())
    try:
        yield key_sync
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await key_sync.close()
