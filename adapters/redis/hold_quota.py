"""Limits how much of an event is held without a payment: by one user, from one address, and by all unproven users.

So no buyer blocks an event by holding it again and again, and unproven users do not, however many they are.

A booking counts until it is paid, or until its hold and the payment that outlasts it have ended. The counts are in
Redis alone. If Redis is emptied, users can hold a few more, and nothing worse happens.

Requests with one key share one count, because they make one booking. So each of them is kept beside the count, and the
count of a hold that came to nothing goes with the last one: a refused request leaves the count to the others.

The count of all unproven users would let one of them close an event to the others, so it is stricter: a key counts once
for each place, whatever its requests ask for, and no longer than its hold may still be made, unless it is made.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, cast
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.seats import MAX_PLACES

_SCRIPTS: Final = Path(__file__).parent / "lua"
_WINDOW: Final = timedelta(minutes=15)


class HoldCaps(NamedTuple):
    """The most of one event that may be held without a payment.

    Attributes:
        live: Bookings of a user at the same time; 0 means that nothing at all is limited.
        unproven_live: The same, as long as the user has not proven the email address.
        unpaid: Unpaid holds that a user may make in 15 minutes, ended ones included.
        address_places: Places of all users at one address at the same time; 0 means no limit.
        unproven_address_places: Those of them whose users have not proven their email addresses; 0 means no limit.
        unproven_event_percent: Percentage of an event's places that all users who have not proven their email addresses
            may hold together at the same time, at any address; 0 means no limit.
        payment: How long a payment may outlast its hold.
        undecided: Within which time an admitted hold is made, and is recorded as made, or never will be.
    """

    live: int
    unproven_live: int
    unpaid: int
    address_places: int
    unproven_address_places: int
    unproven_event_percent: int
    payment: timedelta
    undecided: timedelta


UNLIMITED: Final = HoldCaps(0, 0, 0, 0, 0, 0, timedelta(0), timedelta(0))
"""Admits every hold. Processes that only remove counts need no more."""


class Hold(NamedTuple):
    """A hold that is about to be made.

    Attributes:
        event_places: How many places the event has.
        places: How many places it has.
        address: The network address of the caller.
        is_proven: Whether the user has proven the email address.
        request_id: Of this call alone; another call with the same key has another one.
    """

    user_id: UUID
    event_id: UUID
    event_places: int
    booking_id: UUID
    places: int
    hold_seconds: int
    address: str
    is_proven: bool
    request_id: str


class _Count(NamedTuple):
    """Where a hold counts: under `members` of the sets `keys`, for the requests in the set `requests`."""

    requests: str
    keys: list[str]
    members: list[str]


class HoldQuota:
    """Admits or refuses holds for an event."""

    def __init__(self, redis: Redis, caps: HoldCaps) -> None:
        self._redis = redis
        self._caps = caps
        self._admit_user = redis.register_script((_SCRIPTS / "hold_quota.lua").read_text())
        self._admit_address = redis.register_script((_SCRIPTS / "address_quota.lua").read_text())
        self._admit_unproven = redis.register_script((_SCRIPTS / "event_quota.lua").read_text())
        self._uncount = redis.register_script((_SCRIPTS / "uncount.lua").read_text())

    async def admit(self, hold: Hold) -> int:
        """Count one more hold for its user and its address, or refuse it; the same booking is counted once.

        Returns:
            Seconds after which to try again; 0 if admitted.
        """
        if not self._caps.live:
            return 0
        return await self._unless_refused(hold, await self._admit_by_user(hold) or await self._admit_by_address(hold))

    async def admit_unproven(self, hold: Hold) -> int:
        """Count a hold that its user and its address admit also for all unproven users of the event, or refuse it.

        Returns:
            As `admit`; always 0 if the user is proven.
        """
        most = self.most_unproven(hold)
        if most is None:
            return 0
        count = _of_event(hold)
        arguments = [str(hold.booking_id), *self._of_places(hold, most), _ms(self._caps.undecided)]
        wait = int(await self._admit_unproven(keys=[*count.keys, count.requests], args=arguments))
        return await self._unless_refused(hold, wait)

    def most_unproven(self, hold: Hold) -> int | None:
        """How many places of the event a user like this one may hold if no other does; None if that has no limit."""
        if hold.is_proven or not (self._caps.live and self._caps.unproven_event_percent):
            return None
        return math.ceil(hold.event_places * self._caps.unproven_event_percent / 100)

    async def _unless_refused(self, hold: Hold, wait: int) -> int:
        """The wait in seconds; a refused hold counts nowhere."""
        if wait:
            await self.never_held(hold)
        return math.ceil(wait / 1000)

    async def _admit_by_user(self, hold: Hold) -> int:
        count = _of_user(hold)
        arguments: list[str | int] = [
            *count.members,
            hold.request_id,
            hold.hold_seconds * 1000,
            self._caps.live if hold.is_proven else min(self._caps.live, self._caps.unproven_live),
            self._caps.unpaid,
            _ms(_WINDOW),
            _ms(self._caps.payment),
        ]
        return int(await self._admit_user(keys=[*count.keys, count.requests], args=arguments))

    async def _admit_by_address(self, hold: Hold) -> int:
        count = self._of_address(hold)
        for key, most in self._address_caps(hold):
            arguments = [*count.members, *self._of_places(hold, most)]
            wait = int(await self._admit_address(keys=[key, count.requests], args=arguments))
            if wait:
                return wait
        return 0

    def _of_places(self, hold: Hold, most: int) -> list[str | int]:
        """The arguments of scripts that limit places."""
        return [hold.request_id, hold.places, hold.hold_seconds * 1000, most, _ms(self._caps.payment)]

    def _of_address(self, hold: Hold) -> _Count:
        member = _with_places(hold)
        keys = [key for key, _ in self._address_caps(hold)]
        return _Count(f"{_prefix(hold.address, hold.event_id)}:requests:{member}", keys, [member])

    def _address_caps(self, hold: Hold) -> list[tuple[str, int]]:
        """The sets in which a hold counts, and the most places of each."""
        prefix = _prefix(hold.address, hold.event_id)
        caps = [(f"{prefix}:places", self._caps.address_places)]
        if not hold.is_proven:
            caps.append((f"{prefix}:unproven", self._caps.unproven_address_places))
        return [(key, most) for key, most in caps if most]

    async def counted(self, hold: Hold) -> list[UUID]:
        """The bookings that count against a hold, in no order; some may have ended, and Redis has not been updated.

        What all unproven users hold of the event may be much, so it is left out; its ends are recorded by the workers.
        """
        return [UUID(member.partition(":")[0]) for member in await self._members(hold)]

    async def _members(self, hold: Hold) -> set[str]:
        keys = _keys(hold.user_id, hold.event_id) + [key for key, _ in self._address_caps(hold)]
        found: set[bytes] = set()
        for key in keys:
            found.update(cast("list[bytes]", await self._redis.zrange(key, 0, -1)))
        return {member.decode() for member in found}

    async def note_ends(self, hold: Hold, are_paid: Mapping[UUID, bool]) -> None:
        """Record that bookings that counted against a hold have ended, and whether they are paid."""
        members = [member for member in await self._members(hold) if UUID(member.partition(":")[0]) in are_paid]
        for key, _ in self._address_caps(hold):
            await self._remove(key, members)
        live, made = _keys(hold.user_id, hold.event_id)
        await self._remove(live, members)
        await self._remove(made, [member for member in members if are_paid[UUID(member.partition(":")[0])]])

    async def made(self, event_id: UUID, booking_id: UUID, places: int, ends_at: datetime) -> None:
        """Record that a hold is made: if it counts for all unproven users, it does so until it has ended.

        The end is by the database's clock and the set by that of Redis. They differ by much less than a payment takes.
        """
        ends = int(ends_at.timestamp() * 1000)
        # If this is lost, the hold counts for its user and its address all the same.
        with suppress(RedisError, OSError):
            members = _places(booking_id)[:places]
            await self._redis.zadd(_unproven(event_id), dict.fromkeys(members, ends), xx=True, gt=True)

    async def let_go(self, user_id: UUID, event_id: UUID, booking_id: UUID) -> None:
        """Record that the hold ended unpaid; it still counts as a hold that was made."""
        await asyncio.gather(
            self._remove(_keys(user_id, event_id)[0], [str(booking_id)]),
            self._remove(_unproven(event_id), _places(booking_id)),
        )

    async def forget(self, user_id: UUID, event_id: UUID, booking_id: UUID) -> None:
        """Record that the booking is paid: it does not count any more for its user, nor for all unproven users."""
        await asyncio.gather(
            self.let_go(user_id, event_id, booking_id),
            self._remove(_keys(user_id, event_id)[1], [str(booking_id)]),
        )

    async def never_held(self, hold: Hold) -> None:
        """Record that a request has not made its hold: unless another one may still make it, it counts nowhere."""
        with suppress(RedisError, OSError):  # as in `_remove`
            for count in self._counts(hold):
                await self._uncount(keys=[count.requests, *count.keys], args=[hold.request_id, *count.members])

    async def leave_counted(self, hold: Hold) -> None:
        """Record that a request has ended whose hold may have been made: its count stays.

        A later request with the same key may take it out.
        """
        with suppress(RedisError, OSError):
            for count in self._counts(hold):
                await self._redis.srem(count.requests, hold.request_id)

    def _counts(self, hold: Hold) -> list[_Count]:
        """Where a hold may count."""
        by_all = [] if hold.is_proven else [_of_event(hold)]
        return [_of_user(hold), self._of_address(hold), *by_all]

    async def _remove(self, key: str, members: list[str]) -> None:
        if not members:
            return
        # The limits of the process that counted may differ from those here, so they decide nothing. The command is done
        # in any case. A count that stays expires by itself.
        with suppress(RedisError, OSError):
            await self._redis.zrem(key, *members)


def _ms(time: timedelta) -> int:
    return int(time.total_seconds() * 1000)


def _of_user(hold: Hold) -> _Count:
    prefix, member = _prefix(hold.user_id, hold.event_id), str(hold.booking_id)
    return _Count(f"{prefix}:requests:{member}", _keys(hold.user_id, hold.event_id), [member])


def _of_event(hold: Hold) -> _Count:
    """One member for each place, so that Redis counts them without reading them.

    The requests with one key may ask for different numbers of places, so what ends takes out as many as there may be.
    """
    key = _unproven(hold.event_id)
    return _Count(f"{key}:requests:{hold.booking_id}", [key], _places(hold.booking_id))


def _unproven(event_id: UUID) -> str:
    return f"seatwright:hoarding:{{{event_id}}}:unproven"


def _with_places(hold: Hold) -> str:
    """A hold as it is counted in places: a repeated request may ask for another number of them."""
    return f"{hold.booking_id}:{hold.places}"


def _places(booking_id: UUID) -> list[str]:
    return [f"{booking_id}:{number}" for number in range(1, MAX_PLACES + 1)]


def _keys(user_id: UUID, event_id: UUID) -> list[str]:
    prefix = _prefix(user_id, event_id)
    return [f"{prefix}:live", f"{prefix}:made"]


def _prefix(of: UUID | str, event_id: UUID) -> str:
    """What the keys of a user, or of an address, begin with."""
    return f"seatwright:hoarding:{{{of}/{event_id}}}"
