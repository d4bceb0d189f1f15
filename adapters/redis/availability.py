"""Tells at the door which seats are taken: however many ask at once, Redis is asked one thing at a time.

It reads the keys of `adapters.redis.seat_locks`, promises nothing, and where it cannot tell lets everybody through.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

from redis.asyncio import Redis

from adapters.redis.seat_locks import Places, ended_key, epoch_key, seat_key

_PATIENCE = 0.25  # seconds; where Redis hangs it is the route that says so, within its own bounds


class SeatAvailability:
    """One for each process, so that what is asked while an answer is on its way shares the next question."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._questions: dict[UUID, _Question] = {}

    async def taken(self, places: Places) -> tuple[str, ...]:
        """The seats that others have.

        Empty, too, where that is for others to say: the event is not loaded, or this booking has been and gone.

        Raises:
            TimeoutError: Redis does not answer soon.
            RedisError: It cannot be asked.
        """
        if not places.seats:
            return ()
        question = self._questions.get(places.event_id)
        if question is None:
            question = self._questions[places.event_id] = _Question()
            question.answer = asyncio.create_task(self._ask(places.event_id, question))
            question.answer.add_done_callback(_heed)
        epoch, ended = epoch_key(places.event_id), ended_key(places.event_id, places.booking_id)
        seats = {name: seat_key(places.event_id, name) for name in places.seats}
        question.keys |= dict.fromkeys((epoch, ended, *seats.values()))
        assert question.answer is not None
        found = await asyncio.shield(question.answer)
        if found[epoch] is None or found[ended] is not None:
            return ()
        mine = str(places.booking_id).encode()
        return tuple(name for name, key in seats.items() if found[key] not in (None, mine))

    async def _ask(self, event_id: UUID, question: _Question) -> dict[str, bytes | str | None]:
        await asyncio.sleep(0)  # whoever comes in the same turn of the loop shares this question
        del self._questions[event_id]
        async with asyncio.timeout(_PATIENCE):
            values = await self._redis.mget(list(question.keys))
        return dict(zip(question.keys, values, strict=True))


def _heed(answer: asyncio.Task[dict[str, bytes | str | None]]) -> None:
    """Everybody may have stopped waiting, and then nobody else looks at what went wrong."""
    if not answer.cancelled():
        answer.exception()


class _Question:
    def __init__(self) -> None:
        self.keys: dict[str, None] = {}
        self.answer: asyncio.Task[dict[str, bytes | str | None]] | None = None
