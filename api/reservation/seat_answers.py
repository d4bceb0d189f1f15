"""Keeps the answers about large venues for a moment, so that an event costs a tenth of a core at most.

An answer is kept for ten times as long as it took to make: about a second for 100,000 seats, and hardly at all for a
small venue.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, NamedTuple, TypeVar

from api.http.off_loop import off_loop

Source = TypeVar("Source")

_SHARE: Final = 10  # an answer is kept for so many times the seconds of CPU that it took
_MOST_BYTES: Final = 64 * 1024 * 1024


class SeatAnswer(NamedTuple):
    """An answer's bytes and its entity tag."""

    body: bytes
    tag: str
    cpu_seconds: float


class SeatAnswers:
    """The answers of one process. Callers who come while an answer is made share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[SeatAnswer, float]] = OrderedDict()
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
        self._keep(key, made, time.monotonic() + _SHARE * made.cpu_seconds)
        return made

    def _keep(self, key: Hashable, made: SeatAnswer, until: float) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (made, until)
        while sum(len(answer.body) for answer, _ in self._kept.values()) > _MOST_BYTES:
            self._kept.popitem(last=False)


def _encoded(source: Source, encode: Callable[[Source], bytes]) -> SeatAnswer:
    began = time.thread_time()
    body = encode(source)
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return SeatAnswer(body, tag, time.thread_time() - began)
