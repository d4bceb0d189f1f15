"""How much a user, an address, a booking and a card may take, by the counts in Redis."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from adapters.redis.charge_quota import Charge, ChargeQuota
from adapters.redis.hold_quota import Hold, HoldCaps, HoldQuota
from api.auth.tokens import Principal
from api.reservation import charge_quota, hold_quota
from domain.bookings import BookingRequest
from domain.problems import ProblemType, Refused
from tests.pace import stretched
from tests.waiting import eventually

CAPS = HoldCaps(
    live=2,
    unproven_live=1,
    unpaid=9,
    address_places=20,
    unproven_address_places=6,
    unproven_event_percent=20,
    payment=timedelta(seconds=60),
    undecided=timedelta(seconds=30),
)


def a_hold(**of: Any) -> Hold:
    usual: dict[str, Any] = {"user_id": uuid4(), "event_id": uuid4(), "event_places": 50}
    usual |= {
        "booking_id": uuid4(),
        "places": 2,
        "hold_seconds": 300,
        "address": "192.0.2.1",
        "is_proven": True,
        "request_id": str(uuid4()),
    }
    return Hold(**usual | of)


def repeated(hold: Hold, **of: Any) -> Hold:
    """Another request with the same key."""
    return hold._replace(request_id=str(uuid4()), **of)


async def test_a_hold_counts_until_its_payment_has_had_its_time(redis: Redis) -> None:
    quota, user, event = HoldQuota(redis, CAPS), uuid4(), uuid4()
    first, second = (a_hold(user_id=user, event_id=event, hold_seconds=0) for _ in range(2))
    assert [await quota.admit(each) for each in (first, second)] == [0, 0]
    third = a_hold(user_id=user, event_id=event)
    assert await quota.admit(third) > 0  # both holds have ended, and their payments may go on
    assert set(await quota.counted(third)) == {first.booking_id, second.booking_id}
    await quota.note_ends(third, {first.booking_id: False})
    assert await quota.admit(third) == 0
    soon_over = HoldQuota(redis, CAPS._replace(payment=timedelta(0)))
    assert await soon_over.admit(a_hold(user_id=user, event_id=event)) == 0  # the second has had its time


@pytest.mark.parametrize(("is_proven", "most"), [(True, 2), (False, 1)])
async def test_a_user_without_a_proven_address_has_a_smaller_cap(redis: Redis, is_proven: bool, most: int) -> None:
    quota, user, event = HoldQuota(redis, CAPS), uuid4(), uuid4()
    holds = [a_hold(user_id=user, event_id=event, is_proven=is_proven, places=1) for _ in range(4)]
    waits = await asyncio.gather(*(quota.admit(each) for each in holds))
    assert sum(wait == 0 for wait in waits) == most
    assert all(0 < wait <= 300 for wait in waits if wait)


@pytest.mark.parametrize(("is_proven", "most"), [(True, 20), (False, 6)])
async def test_all_users_at_one_address_have_a_cap_in_places(redis: Redis, is_proven: bool, most: int) -> None:
    quota, event = HoldQuota(redis, CAPS), uuid4()
    holds = [a_hold(event_id=event, is_proven=is_proven) for _ in range(15)]
    waits = await asyncio.gather(*(quota.admit(each) for each in holds))
    assert sum(hold.places for hold, wait in zip(holds, waits, strict=True) if not wait) == most
    assert await quota.admit(a_hold(event_id=event, is_proven=is_proven, address="192.0.2.2")) == 0
    refused = next(hold for hold, wait in zip(holds, waits, strict=True) if wait)
    admitted = next(hold for hold, wait in zip(holds, waits, strict=True) if not wait)
    assert await quota.admit(admitted) == 0  # a repetition
    await quota.never_held(admitted)
    assert await quota.admit(refused) == 0


def from_anywhere(event: UUID, **of: Any) -> Hold:
    """A hold by an unproven user at an address of its own."""
    return a_hold(event_id=event, is_proven=False, address=str(uuid4()), **of)


async def admitted(quota: HoldQuota, hold: Hold) -> int:
    """Seconds until another try; 0 if all counts admit the hold."""
    return await quota.admit(hold) or await quota.admit_unproven(hold)


async def test_unproven_users_at_all_addresses_share_a_part_of_an_event(redis: Redis) -> None:
    quota, event = HoldQuota(redis, CAPS), uuid4()
    holds = [from_anywhere(event) for _ in range(9)]
    waits = await asyncio.gather(*(admitted(quota, each) for each in holds))
    assert sum(hold.places for hold, wait in zip(holds, waits, strict=True) if not wait) == 10  # a fifth of 50
    assert all(0 < wait <= 300 for wait in waits if wait)
    refused = next(hold for hold, wait in zip(holds, waits, strict=True) if wait)
    held = next(hold for hold, wait in zip(holds, waits, strict=True) if not wait)
    assert await quota.counted(refused) == [], "it counts nowhere"
    assert await admitted(quota, held) == 0  # a repetition
    assert await admitted(quota, a_hold(event_id=event)) == 0, "a proven user finds places"
    assert await admitted(quota, from_anywhere(uuid4())) == 0, "so does any user in another event"

    await quota.forget(held.user_id, event, held.booking_id)
    assert await admitted(quota, refused) == 0
    assert await admitted(quota, from_anywhere(event, places=1)) > 0


async def test_what_unproven_users_hold_counts_until_it_ends_or_came_to_nothing(redis: Redis) -> None:
    soon_over, event = HoldQuota(redis, CAPS._replace(payment=timedelta(0))), uuid4()
    assert await admitted(soon_over, from_anywhere(event, places=6, hold_seconds=0)) == 0
    held, never_held = (from_anywhere(event, places=5) for _ in range(2))
    assert [await admitted(soon_over, each) for each in (held, never_held)] == [0, 0], "the first one has ended"
    assert await admitted(soon_over, from_anywhere(event, places=1)) > 0
    await soon_over.never_held(never_held)
    await soon_over.never_held(never_held)
    await soon_over.let_go(held.user_id, event, held.booking_id)
    assert await admitted(soon_over, from_anywhere(event, places=6)) == 0


async def test_a_refused_request_leaves_what_a_request_with_its_key_holds_of_an_event(redis: Redis) -> None:
    quota, event = HoldQuota(redis, CAPS), uuid4()
    refused = from_anywhere(event, places=6)
    assert [await admitted(quota, each) for each in (refused, repeated(refused))] == [0, 0]
    await quota.never_held(refused)
    assert await admitted(quota, from_anywhere(event, places=5)) > 0


async def test_one_key_counts_once_in_an_event_however_many_bodies_it_has(redis: Redis) -> None:
    quota, event = HoldQuota(redis, CAPS), uuid4()
    first = from_anywhere(event, places=1)
    bodies = [repeated(first, places=places, address=str(uuid4())) for places in range(1, 7)]
    assert [await admitted(quota, each) for each in bodies] == [0] * 6, "21 places in all"
    for refused in bodies[1:]:
        await quota.leave_counted(refused)
    assert await admitted(quota, from_anywhere(event, places=4)) == 0, "the key counts as the largest one, of 10"
    assert await admitted(quota, from_anywhere(event, places=1)) > 0
    assert await admitted(quota, repeated(bodies[-1], address=str(uuid4()))) == 0, "what it has, it needs no room for"

    await quota.let_go(first.user_id, event, first.booking_id)
    assert await admitted(quota, from_anywhere(event, places=6)) == 0, "nothing stays behind"


async def test_a_hold_that_is_not_made_in_time_leaves_the_event_to_others(redis: Redis) -> None:
    event, hasty = uuid4(), HoldQuota(redis, CAPS._replace(undecided=timedelta(seconds=stretched(1))))
    made, lost = (from_anywhere(event, places=5) for _ in range(2))
    for each in (made, lost):
        assert await admitted(hasty, each) == 0
    await hasty.made(event, made.booking_id, made.places, datetime.now(UTC) + timedelta(seconds=300))
    for each in (made, lost):
        await hasty.leave_counted(each)  # whichever outcome its request knows
    proven = uuid4()
    await hasty.made(event, proven, 5, datetime.now(UTC) + timedelta(seconds=300))  # counts as little as before

    async def has_room() -> bool:
        return await admitted(hasty, from_anywhere(event, places=5)) == 0

    await eventually(has_room, within=30)
    assert await admitted(hasty, from_anywhere(event, places=6)) > 0, "the other one is made, and counts"
    assert set(await hasty.counted(lost)) == {lost.booking_id}, "for its user and its address"


async def test_more_than_all_unproven_users_may_have_needs_a_proof_and_no_wait(redis: Redis) -> None:
    quota = HoldQuota(redis, CAPS)
    asked = await refusal(quota, from_anywhere(uuid4(), places=11))
    assert (asked.problem.type, asked.problem.members) == (ProblemType.FORBIDDEN, {})
    assert "More than 10 places" in asked.problem.detail


async def test_a_refusal_by_the_event_reads_no_bookings(redis: Redis) -> None:
    quota, event = HoldQuota(redis, CAPS), uuid4()
    for _ in range(5):
        assert await admitted(quota, from_anywhere(event)) == 0
    asked = await refusal(quota, from_anywhere(event))  # there is no database to read from
    assert asked.problem.type is ProblemType.TOO_MANY_HOLDS
    assert 0 < (asked.problem.members["retry_after"]) <= 300


async def refusal(quota: HoldQuota, hold: Hold) -> Refused:
    """How the API refuses a hold without its database."""
    request = SimpleNamespace(scope={"client": ("192.0.2.3", 0)})
    context: Any = SimpleNamespace(
        hold_quota=quota,
        recorder=SimpleNamespace(request=request),
    )
    buyer = Principal(hold.user_id, frozenset(), is_proven=hold.is_proven)
    booking = BookingRequest(
        id=hold.booking_id,
        user_id=hold.user_id,
        event_id=hold.event_id,
        seats=(),
        quantities={"Standing": hold.places},
        body_sha256="",
        hold_seconds=hold.hold_seconds,
    )
    with pytest.raises(Refused) as refused:
        async with hold_quota.counted(context, buyer, booking, hold.event_places):
            pass
    return refused.value


async def test_a_refused_hold_takes_nothing_from_any_cap(redis: Redis) -> None:
    quota, event = HoldQuota(redis, CAPS), uuid4()
    too_large = a_hold(event_id=event, is_proven=False, places=7)
    assert await quota.admit(too_large) > 0
    assert await quota.counted(too_large) == []
    assert await quota.admit(too_large._replace(places=6)) == 0


@pytest.mark.parametrize("is_proven", [True, False])
async def test_a_refused_request_does_not_take_out_what_a_request_with_its_key_holds(
    redis: Redis, is_proven: bool
) -> None:
    quota, user, event = HoldQuota(redis, CAPS), uuid4(), uuid4()
    refused = a_hold(user_id=user, event_id=event, is_proven=is_proven)
    goes_on = repeated(refused)
    assert [await quota.admit(each) for each in (refused, goes_on)] == [0, 0]

    await quota.never_held(refused)
    await quota.never_held(refused)

    other = a_hold(event_id=event, is_proven=is_proven)  # at the same address
    assert await quota.counted(a_hold(user_id=user, event_id=event, address="192.0.2.2")) == [refused.booking_id]
    assert await quota.counted(other) == [refused.booking_id]
    await quota.never_held(goes_on)
    assert await quota.counted(refused) == []


async def test_a_request_that_its_address_refuses_leaves_the_count_to_one_with_its_key(redis: Redis) -> None:
    quota, user, event = HoldQuota(redis, CAPS), uuid4(), uuid4()
    held = a_hold(user_id=user, event_id=event, is_proven=False)
    assert await quota.admit(held) == 0
    for of in ({"places": 7}, {"address": "192.0.2.2", "places": 21}):
        assert await quota.admit(repeated(held, **of)) > 0
    assert set(await quota.counted(held)) == {held.booking_id}
    assert await quota.counted(a_hold(event_id=event, is_proven=False)) == [held.booking_id]
    assert await quota.counted(a_hold(event_id=event, is_proven=False, address="192.0.2.2")) == []


async def test_a_hold_of_unknown_outcome_counts_until_a_request_with_its_key_is_refused(redis: Redis) -> None:
    quota, user, event = HoldQuota(redis, CAPS), uuid4(), uuid4()
    unknown = a_hold(user_id=user, event_id=event)
    assert await quota.admit(unknown) == 0
    await quota.leave_counted(unknown)
    assert set(await quota.counted(unknown)) == {unknown.booking_id}
    again = repeated(unknown)
    assert await quota.admit(again) == 0
    await quota.never_held(again)
    assert await quota.counted(unknown) == []


async def test_all_that_is_kept_of_a_hold_has_an_end(redis: Redis) -> None:
    before = set(await redis.keys())
    assert await admitted(HoldQuota(redis, CAPS), a_hold(is_proven=False)) == 0
    kept = set(await redis.keys()) - before
    assert len(kept) == 8
    assert all([0 < await redis.ttl(key) <= 900 for key in kept])


async def test_tries_in_vain_are_limited_by_booking_and_by_card(redis: Redis) -> None:
    quota, booking, card = ChargeQuota(redis, 3, 5), uuid4(), f"pm_{uuid4().hex}"
    tries = [Charge(str(number), booking, "stripe", card) for number in range(8)]
    waits = await asyncio.gather(*(quota.admit(each) for each in tries))
    assert sum(wait == 0 for wait in waits) == 3
    assert all(0 < wait <= 900 for wait in waits if wait)
    made = tries[waits.index(0)]
    assert await quota.admit(made) == 0  # a repetition
    elsewhere = [Charge(f"at {number}", uuid4(), "stripe", card) for number in range(3)]
    assert [await quota.admit(each) == 0 for each in elsewhere] == [True, True, False]  # refused tries count nowhere
    await quota.forget(made)
    assert await quota.admit(Charge("after", booking, "stripe", None)) == 0


async def test_a_try_refused_by_its_card_does_not_hide_an_earlier_one_with_its_key(redis: Redis) -> None:
    quota, booking, spent = ChargeQuota(redis, 1, 1), uuid4(), f"pm_{uuid4().hex}"
    assert await quota.admit(Charge("elsewhere", uuid4(), "stripe", spent)) == 0
    charge = Charge("key", booking, "stripe", f"pm_{uuid4().hex}")
    assert await quota.admit(charge) == 0
    assert await quota.admit(charge._replace(card=spent)) > 0
    assert await quota.admit(Charge("other key", booking, "stripe", f"pm_{uuid4().hex}")) > 0


async def test_one_key_for_many_bookings_does_not_evade_the_limit_of_a_card(redis: Redis) -> None:
    context: Any = SimpleNamespace(charge_quota=ChargeQuota(redis, 10, 20))
    card = f"pm_{uuid4().hex}"

    async def declined(booking_id: UUID) -> ProblemType:
        with pytest.raises(Refused) as refused:
            async with charge_quota.counted(context, booking_id, "pay:key", "stripe", card):
                raise Refused(ProblemType.PAYMENT_DECLINED, "The card was declined.")
        return refused.value.problem.type

    first, *others = [uuid4() for _ in range(21)]
    assert [await declined(first) for _ in range(2)] == [ProblemType.PAYMENT_DECLINED] * 2, "counted once"
    answers = [await declined(each) for each in others]
    assert answers == [ProblemType.PAYMENT_DECLINED] * 19 + [ProblemType.RATE_LIMITED]


@pytest.mark.parametrize("quota", ["holds", "charges"])
async def test_where_there_is_no_limit_nothing_is_counted(redis: Redis, quota: str) -> None:
    before = set(await redis.keys())
    if quota == "holds":
        assert await HoldQuota(redis, CAPS._replace(live=0)).admit(a_hold()) == 0
    else:
        assert await ChargeQuota(redis, 0, 0).admit(Charge("one", uuid4(), "stripe", "pm_card_visa")) == 0
    assert set(await redis.keys()) == before
