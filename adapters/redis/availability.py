"""Says early which seats are taken. Requests that come together share one call of Redis for each event.

It reads the keys of `adapters.redis.seat_locks`, and only rejects: a seat that it does not report may still be taken.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

from redis.asyncio import Redis

from adapters.redis.seat_locks import Places, ended_key, epoch_key, seat_key

_DEADLINE = 0.25  # seconds; if Redis hangs, the route reports it, within its own deadline


class SeatAvailability:
    """The batched reader; each process has one, so that concurrent requests share a batch."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._batches: dict[UUID, _Batch] = {}

    async def taken(self, places: Places) -> tuple[str, ...]:
        """The seats that other bookings have.

        Empty, too, if Redis cannot know: the event is not loaded, or this booking has already ended.

        Raises:
            TimeoutError: Redis does not answer in time.
            RedisError: Redis cannot be reached, or fails.
        """
        if not places.seats:
            return ()
        batch = self._batches.get(places.event_id)
        if batch is None:
            batch = self._batches[places.event_id] = _Batch()
            batch.answer = asyncio.create_task(self._read(places.event_id, batch))
            batch.answer.add_done_callback(_retrieve_exception)
        epoch, ended = epoch_key(places.event_id), ended_key(places.event_id, places.booking_id)
        seats = {name: seat_key(places.event_id, name) for name in places.seats}
        batch.keys |= dict.fromkeys((epoch, ended, *seats.values()))
        assert batch.answer is not None
        found = await asyncio.shield(batch.answer)
        if found[epoch] is None or found[ended] is not None:
            return ()
        mine = str(places.booking_id).encode()
        return tuple(name for name, key in seats.items() if found[key] not in (None, mine))

    async def _read(self, event_id: UUID, batch: _Batch) -> dict[str, bytes | str | None]:
        await asyncio.sleep(0)  # requests of the same turn of the event loop join this batch
        del self._batches[event_id]
        async with asyncio.timeout(_DEADLINE):
            values = await self._redis.mget(list(batch.keys))
        return dict(zip(batch.keys, values, strict=True))


def _retrieve_exception(answer: asyncio.Task[dict[str, bytes | str | None]]) -> None:
    """Retrieve the exception: asyncio warns about it if every request has been cancelled."""
    if not answer.cancelled():
        answer.exception()


class _Batch:
    def __init__(self) -> None:
        self.keys: dict[str, None] = {}
        self.answer: asyncio.Task[dict[str, bytes | str | None]] | None = None
