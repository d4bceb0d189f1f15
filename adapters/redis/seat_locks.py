"""Locks of seats in Redis: a cheap first check that refuses most of a crowd. Postgres decides.

Every key of an event starts with `seatwright:{event id}`, so that an event lives on one node of a cluster:

    …:epoch                    exists while the event is loaded ("warm"); the time of loading, in ms by Redis's clock
    …:change                   token of the latest change while the event was cold
    …:loading                  the process that loads the event, with a TTL
    …:seat:<name>              booking id; ends with the hold, or with the event when sold
    …:ended:<booking>          for a day: this booking has released its places, so repeated requests are recognized
    …:versions                 hash: booking that has bought places → its version when they were last shown here
    …:capacity                 hash: section → places of a general-admission section
    …:general:<section>:places hash: booking → places held or sold
    …:general:<section>:until  sorted set: booking → end of its hold in ms by Redis's clock, infinite when sold
    …:general:<section>:count  sum of `places`

No key is kept for ever. What has no shorter TTL ends with its event: the epoch a week after the start, when nothing has
been admitted for long and whatever was begun before is over, and all other keys an hour later. So no place is missing
while the event is warm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import orjson
from redis.asyncio import Redis

_LOADING_TAKES = timedelta(seconds=5)  # at most; after that, another process may load
_LARGE = 1000  # claims; encoding so many would block the event loop
# The scripts know a sold place by the end that these give it. After one of them is raised, the places sold before would
# count as held: stop all workers and unlink the events' keys (seatwright:{*) before processes with the new value start.
_EPOCH_OUTLASTS_START = timedelta(days=7)
_PLACES_OUTLAST_EPOCH = timedelta(hours=1)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LUA = {path.stem: path.read_text() for path in (Path(__file__).parent / "lua").glob("*.lua")}


class ColdEvent(Exception):
    """The event is not loaded into Redis: load it from Postgres, then try again."""


class Places(NamedTuple):
    """One booking's places at one event: named seats, and a number of places for each general-admission section."""

    event_id: UUID
    booking_id: UUID
    seats: Sequence[str]
    quantities: Mapping[str, int]


class Claims(NamedTuple):
    """All held and sold places of an event; a remaining time of None means sold.

    Attributes:
        ended: Bookings that ended recently, so that their repeated requests are recognized.
    """

    capacity: Mapping[str, int]
    seats: Sequence[tuple[str, UUID, timedelta | None]]
    general: Sequence[tuple[str, UUID, int, timedelta | None]]
    ended: Sequence[UUID] = ()


class SeatLocks:
    """Holds all places of a booking or none; the booking owns them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._me = str(uuid4())
        self._hold, self._withdraw, self._extend, self._show = (
            redis.register_script(_LUA[name]) for name in ("hold", "withdraw", "extend", "show")
        )
        self._may_load, self._stop_loading, self._load = (
            redis.register_script(_LUA[name]) for name in ("may_load", "stop_loading", "load")
        )

    async def hold(self, places: Places, ttl: timedelta) -> tuple[str, ...]:
        """Hold the places for `ttl`; a longer hold of the same booking stays as it is.

        Returns:
            The seats and sections that other bookings have; empty if the places are held.

        Raises:
            ColdEvent: The event is not loaded yet.
            ValueError: `ttl` is less than a millisecond.
        """
        if len(places.seats) == 1 and not places.quantities and await self._hold_free_seat(places, _ms(ttl)):
            return ()
        return await self._admit(places, _ms(ttl), check_only=False)

    async def _hold_free_seat(self, places: Places, ttl: int) -> bool:
        """Hold one free seat without a script: this is the most frequent hold in a rush, and scripts cost more.

        If the event is cold, the key that was set is no hold, and is withdrawn. If it is left behind, `load` replaces
        it by the seat's owner, and without an owner the key expires.
        """
        seat, booking = seat_key(places.event_id, places.seats[0]), str(places.booking_id)
        epoch = epoch_key(places.event_id)
        async with self._redis.pipeline(transaction=False) as together:
            together.exists(epoch)
            together.set(seat, booking, px=ttl, nx=True)
            is_warm, is_set = await together.execute()
        if is_warm:
            return bool(is_set)
        if is_set:
            await self._withdraw(keys=[seat, epoch], args=[booking, ttl])
        raise ColdEvent(places.event_id)

    async def peek(self, places: Places) -> tuple[str, ...]:
        """As `hold`, but hold nothing."""
        return await self._admit(places, 0, check_only=True)

    async def _admit(self, places: Places, ttl: int, *, check_only: bool) -> tuple[str, ...]:
        arguments = _with(places, ttl, int(check_only), _ms(_PLACES_OUTLAST_EPOCH))
        answer: bytes | list[bytes] = await self._hold(keys=[_prefix(places.event_id)], args=arguments)
        if answer == b"cold":
            raise ColdEvent(places.event_id)
        return tuple(name.decode() for name in answer) if isinstance(answer, list) else ()

    async def extend(self, places: Places, ttl: timedelta, starts_at: datetime) -> None:
        """Make the booking's holds last at least `ttl` from now; sold places and others' places do not change.

        Args:
            places: The booking's places.
            ttl: How long from now.
            starts_at: The start of the event.

        Raises:
            ValueError: `ttl` is less than a millisecond.
        """
        await self._extend(keys=[_prefix(places.event_id)], args=_with(places, _ms(ttl), keys_end(starts_at)))

    async def show(self, bought: Places, version: int, starts_at: datetime, *, free: Iterable[str] = ()) -> bool:
        """Show what a booking has bought, until the event's keys end; what it has not any more is free.

        Another booking's hold of a bought place is replaced, because Postgres does not have it; another booking's sale
        stays. A call about an earlier version than was shown before changes nothing.

        Args:
            bought: All places that it has at this version; those of a section with 0 places are free.
            version: The booking's version, as it was read from Postgres.
            starts_at: The start of the event.
            free: Seats that it does not have.

        Returns:
            False if a later version may be known: read the booking again, and show it if its version has changed.
        """
        return await self._shown(bought, version, keys_end(starts_at), list(free))

    async def release(self, places: Places, version: int = 0) -> bool:
        """Release those of the places that the booking owns, and has not bought.

        Args:
            places: What it may have.
            version: That of a booking which has ended without a sale; 0 for a hold that came to nothing.

        Returns:
            False if it has bought places at a later version: then this call is late, and nothing is changed.
        """
        nothing = places._replace(seats=(), quantities=dict.fromkeys(places.quantities, 0))
        return await self._shown(nothing, version, 0, places.seats)

    async def _shown(self, bought: Places, version: int, ends: int, free: Sequence[str]) -> bool:
        arguments = _with(bought, version, ends, len(free), *free)
        return bool(await self._show(keys=[_prefix(bought.event_id)], args=arguments))

    async def latest_change(self, event_id: UUID) -> str:
        """A token for `load`: read it before you read Postgres."""
        token = await self._redis.get(f"{_prefix(event_id)}:change")
        return _text(token) if token else ""

    async def may_load(self, event_id: UUID) -> bool:
        """Whether the caller should load the cold event; true for one caller at a time, until it has called `load`."""
        arguments: list[str | int] = [self._me, _ms(_LOADING_TAKES)]
        return bool(await self._may_load(keys=[_prefix(event_id)], args=arguments))

    async def stop_loading(self, event_id: UUID) -> None:
        """End the caller's turn of loading without a load."""
        await self._stop_loading(keys=[_prefix(event_id)], args=[self._me])

    async def load(self, event_id: UUID, seen_change: str, claims: Claims, starts_at: datetime) -> bool:
        """Make the event warm, and end the caller's turn of loading.

        Args:
            event_id: The event.
            seen_change: The token that was read before Postgres.
            claims: What Postgres has.
            starts_at: The start of the event.

        Returns:
            False if something changed since `seen_change` was read: read Postgres again.
        """
        if len(claims.seats) + len(claims.general) + len(claims.ended) > _LARGE:
            payload = await asyncio.to_thread(_json, claims)
        else:
            payload = _json(claims)
        ends = keys_end(starts_at)
        arguments: list[str | int | bytes] = [seen_change, self._me, payload, ends - _ms(_PLACES_OUTLAST_EPOCH), ends]
        return bool(await self._load(keys=[_prefix(event_id)], args=arguments) != b"changed")


def _prefix(event_id: UUID) -> str:
    return f"seatwright:{{{event_id}}}"


def epoch_key(event_id: UUID) -> str:
    """The key that exists while the event is loaded."""
    return f"{_prefix(event_id)}:epoch"


def seat_key(event_id: UUID, name: str) -> str:
    """The key that locks one seat; its value is the booking."""
    return f"{_prefix(event_id)}:seat:{name}"


def ended_key(event_id: UUID, booking_id: UUID) -> str:
    """The key that exists for a day after the booking has released its places."""
    return f"{_prefix(event_id)}:ended:{booking_id}"


def keys_end(starts_at: datetime) -> int:
    """When the last keys of an event end that starts then, in ms since the epoch; sold places end then.

    A hold ends days earlier, so that the end of a place says whether it is sold.
    """
    return (starts_at + _EPOCH_OUTLASTS_START + _PLACES_OUTLAST_EPOCH - _UNIX_EPOCH) // timedelta(milliseconds=1)


def _with(places: Places, *options: str | int) -> list[str | int]:
    """A script's arguments: booking, options, number of seats, seats, then pairs of section and quantity."""
    sections: list[str | int] = [part for section in places.quantities.items() for part in section]
    return [str(places.booking_id), *options, len(places.seats), *places.seats, *sections]


def _json(claims: Claims) -> bytes:
    return orjson.dumps(
        {
            "capacity": dict(claims.capacity),
            "seats": [(name, owner, _left(left)) for name, owner, left in claims.seats],
            "general": [(name, owner, count, _left(left)) for name, owner, count, left in claims.general],
            "ended": list(claims.ended),
        }
    )


def _text(answer: bytes | str) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer


def _ms(ttl: timedelta) -> int:
    milliseconds = ttl // timedelta(milliseconds=1)
    if milliseconds < 1:
        raise ValueError(f"a hold lasts at least a millisecond, not {ttl}")
    return milliseconds


def _left(left: timedelta | None) -> int:
    return 0 if left is None else max(1, left // timedelta(milliseconds=1))
