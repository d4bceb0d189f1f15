"""Keeps the answers about large venues for a moment, so that an event costs a tenth of a core at most.

An answer is kept for ten times as long as it took to make: about a second for 100,000 seats, and not at all for a small
venue. Each new answer removes outdated ones, the oldest first; one stays until all older ones are outdated, too.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, NamedTuple, TypeVar

from api.http.off_loop import off_loop

Source = TypeVar("Source")

_SHARE: Final = 10  # an answer is kept for so many times the seconds of CPU that it took
_SHORTEST: Final = 0.005  # seconds: what is kept for less saves little, and every tiny event would have an entry
_MOST_BYTES: Final = 64 * 1024 * 1024
_OVERHEAD: Final = 1024  # bytes of an entry beside its body


class SeatAnswer(NamedTuple):
    """An answer's bytes and its entity tag."""

    body: bytes
    tag: str
    cpu_seconds: float


class SeatAnswers:
    """The answers of one process. Callers who come while an answer is made share it.

    Attributes:
        bytes_kept: The memory of what is kept.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._kept: dict[Hashable, tuple[SeatAnswer, float]] = {}
        self._most_bytes = most_bytes
        self.bytes_kept = 0
        self._being_made: dict[Hashable, asyncio.Task[SeatAnswer | None]] = {}

    async def answer(
        self, key: Hashable, read: Callable[[], Awaitable[Source | None]], encode: Callable[[Source], bytes]
    ) -> SeatAnswer | None:
        """The answer about an event; None if there is no such event.

        Args:
            key: The event, and how its answer is written.
            read: Reads its state; raises TimeoutError if the database does not answer in time.
            encode: Makes the answer's bytes, in a thread.
        """
        kept = self._kept.get(key)
        if kept and time.monotonic() < kept[1]:
            return kept[0]
        if key not in self._being_made:
            making = asyncio.create_task(self._make(key, read, encode))
            self._being_made[key] = making
            making.add_done_callback(lambda _: self._being_made.pop(key, None))
        return await asyncio.shield(self._being_made[key])

    async def _make(
        self, key: Hashable, read: Callable[[], Awaitable[Source | None]], encode: Callable[[Source], bytes]
    ) -> SeatAnswer | None:
        source = await read()
        if source is None:
            return None
        made = await off_loop(_encoded, source, encode)
        self._keep(key, made, _SHARE * made.cpu_seconds)
        return made

    def _keep(self, key: Hashable, made: SeatAnswer, seconds: float) -> None:
        now = time.monotonic()
        self._drop(key)
        if seconds >= _SHORTEST:
            self._kept[key] = (made, now + seconds)
            self.bytes_kept += len(made.body) + _OVERHEAD
        while self._kept:
            oldest, (_, until) = next(iter(self._kept.items()))
            if self.bytes_kept <= self._most_bytes and now < until:
                break
            self._drop(oldest)

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept:
            self.bytes_kept -= len(kept[0].body) + _OVERHEAD


def _encoded(source: Source, encode: Callable[[Source], bytes]) -> SeatAnswer:
    began = time.thread_time()
    body = encode(source)
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return SeatAnswer(body, tag, time.thread_time() - began)
