"""Keeps the answers about large venues for a moment, so that an event costs a tenth of a core at most, however asked.

An answer is kept for ten times as long as it took to make: a small venue's not noticeably, one of 100,000 seats for
about a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

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
        self._kept: OrderedDict[UUID, tuple[SeatAnswer, float]] = OrderedDict()
        self._being_made: dict[UUID, asyncio.Task[SeatAnswer | None]] = {}

    async def answer(
        self, event_id: UUID, read: Callable[[], Awaitable[Source | None]], encode: Callable[[Source], bytes]
    ) -> SeatAnswer | None:
        """The answer about an event; None if there is no such event.

        Args:
            event_id: The event.
            read: Reads its state; raises TimeoutError if the database does not answer in time.
            encode: Makes the answer's bytes, in a thread.
        """
        kept = self._kept.get(event_id)
        if kept and time.monotonic() < kept[1]:
            return kept[0]
        if event_id not in self._being_made:
            making = asyncio.create_task(self._make(event_id, read, encode))
            self._being_made[event_id] = making
            making.add_done_callback(lambda _: self._being_made.pop(event_id, None))
        return await asyncio.shield(self._being_made[event_id])

    async def _make(
        self, event_id: UUID, read: Callable[[], Awaitable[Source | None]], encode: Callable[[Source], bytes]
    ) -> SeatAnswer | None:
        source = await read()
        if source is None:
            return None
        made = await off_loop(_encoded, source, encode)
        self._keep(event_id, made, time.monotonic() + _SHARE * made.cpu_seconds)
        return made

    def _keep(self, event_id: UUID, made: SeatAnswer, until: float) -> None:
        self._kept.pop(event_id, None)
        self._kept[event_id] = (made, until)
        while sum(len(answer.body) for answer, _ in self._kept.values()) > _MOST_BYTES:
            self._kept.popitem(last=False)


def _encoded(source: Source, encode: Callable[[Source], bytes]) -> SeatAnswer:
    began = time.thread_time()
    body = encode(source)
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return SeatAnswer(body, tag, time.thread_time() - began)
