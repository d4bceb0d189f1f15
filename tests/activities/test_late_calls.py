"""A process that stands still before it calls Redis, and wakes when others have gone on, hides and frees no place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reservation.bookings import Reinstate, Release, ReservationActivities, StartPayment, Step
from activities.reservation.exchanges import ExchangeActivities, Fail
from activities.reservation.refunds import ReturnedTickets
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import Places, SeatLocks, keys_end, seat_key
from db.reservation import offers, redis_sync
from db.reservation.bookings import outcomes
from db.reservation.bookings.bookings import StaleStep
from domain.bookings import Booking, BookingStatus
from domain.problems import Problem, ProblemType
from tests.activities.conftest import WINDOW
from tests.activities.stopping import Stopped
from tests.adapters.seats.places import count, forget, wants
from tests.audit.harness import step
from tests.db.booking_steps import confirm, find, on_sale
from tests.requests import booking_request, exchange_request, refund_request

STATUS = BookingStatus
MINUTE = timedelta(minutes=1)


class Late:
    """A worker that stands still right before its first call of one script of Redis."""

    def __init__(self, engine: AsyncEngine, redis: Redis, script: str = "show") -> None:
        locks = SeatLocks(redis)
        self.stopped = Stopped(locks, script)
        self.steps = ReservationActivities(engine, locks, HoldQuota(redis, UNLIMITED), WINDOW)
        self.refunds = ReturnedTickets(engine, locks)
        self.exchanges = ExchangeActivities(engine, locks, self.steps.admit)
        self._working: asyncio.Task[object] | None = None

    async def begin(self, work: Awaitable[object]) -> None:
        """Let it come to that call."""
        self._working = asyncio.ensure_future(work)
        await self.stopped.has_come.wait()

    async def wake(self) -> None:
        """Let it do the rest of its work."""
        assert self._working
        await self.stopped.go()
        await self._working


@pytest.fixture
def late(reservation: AsyncEngine, redis: Redis) -> Late:
    return Late(reservation, redis)


@pytest.fixture
def refunds(reservation: AsyncEngine, redis: Redis) -> ReturnedTickets:
    return ReturnedTickets(reservation, SeatLocks(redis))


async def paying(steps: ReservationActivities, event: UUID, *seats: str, **quantities: int) -> Booking:
    held = (await step(steps.hold, booking_request(event, *seats, **quantities))).booking
    assert held
    booking = await step(steps.start_payment, StartPayment(booking=held, window=WINDOW))
    assert await step(steps.commit, Step(booking=booking)) is None
    return booking


async def bought(steps: ReservationActivities, event: UUID, *seats: str, **quantities: int) -> Booking:
    return await step(steps.issue, Step(booking=await paying(steps, event, *seats, **quantities)))


async def give_back(refunds: ReturnedTickets, booking: Booking, tickets: int) -> Booking:
    """Give some tickets back, to the end."""
    request = refund_request(booking, [ticket.id for ticket in booking.tickets[:tickets]])
    assert (await step(refunds.accept_refund, request)).refund
    await step(refunds.settle_refund, request.id)
    return booking.model_copy(update={"tickets": booking.tickets[tickets:]})


async def owner(redis: Redis, event: UUID, seat: str) -> str | None:
    found = await redis.get(seat_key(event, seat))
    return found.decode() if isinstance(found, bytes) else found


async def is_sold(engine: AsyncEngine, redis: Redis, event: UUID, seat: str) -> bool:
    async with engine.connect() as connection:
        ends = keys_end(await offers.starts_at(connection, event))
    return bool(await redis.pexpiretime(seat_key(event, seat)) == ends)


RedisThen = Callable[[ReservationActivities, Redis, UUID], Awaitable[None]]


async def _nothing(steps: ReservationActivities, redis: Redis, event: UUID) -> None: ...


async def _emptied(steps: ReservationActivities, redis: Redis, event: UUID) -> None:
    await forget(redis, event)


async def _emptied_and_loaded(steps: ReservationActivities, redis: Redis, event: UUID) -> None:
    await forget(redis, event)
    await steps.admit(wants(event, "A-1-9"), MINUTE)


REDIS: dict[str, RedisThen] = {"goes on": _nothing, "is emptied": _emptied, "is loaded again": _emptied_and_loaded}


@pytest.mark.parametrize("redis_then", REDIS.values(), ids=REDIS.keys())
async def test_a_late_sale_does_not_hide_a_seat_that_has_been_given_back(
    reservation: AsyncEngine,
    steps: ReservationActivities,
    refunds: ReturnedTickets,
    late: Late,
    redis: Redis,
    redis_then: RedisThen,
) -> None:
    event = await on_sale(reservation)
    booking = await paying(steps, event, "A-1-1", Standing=2)
    await late.begin(step(late.steps.issue, Step(booking=booking)))
    await give_back(refunds, await step(steps.issue, Step(booking=booking)), 3)
    await redis_then(steps, redis, event)

    await late.wake()

    assert await owner(redis, event, "A-1-1") is None
    assert await count(redis, event, "Standing") == (0, 0)
    assert (await step(steps.hold, booking_request(event, "A-1-1", Standing=10))).booking


@pytest.mark.parametrize("redis_then", REDIS.values(), ids=REDIS.keys())
async def test_a_late_sale_takes_no_seat_from_the_buyer_who_got_it_since(
    reservation: AsyncEngine,
    steps: ReservationActivities,
    refunds: ReturnedTickets,
    late: Late,
    redis: Redis,
    redis_then: RedisThen,
) -> None:
    event = await on_sale(reservation)
    booking = await paying(steps, event, "A-1-1")
    await late.begin(step(late.steps.issue, Step(booking=booking)))
    await give_back(refunds, await step(steps.issue, Step(booking=booking)), 1)
    next_one = await paying(steps, event, "A-1-1")
    await redis_then(steps, redis, event)

    await late.wake()
    await step(steps.issue, Step(booking=next_one))

    assert await owner(redis, event, "A-1-1") == str(next_one.id)
    assert await is_sold(reservation, redis, event, "A-1-1")


async def test_of_two_partial_refunds_the_late_call_of_the_first_counts_no_place_again(
    reservation: AsyncEngine, steps: ReservationActivities, refunds: ReturnedTickets, late: Late, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await bought(steps, event, Standing=4)
    request = refund_request(booking, [booking.tickets[0].id])
    await late.begin(step(late.refunds.accept_refund, request))
    await step(refunds.settle_refund, request.id)
    await give_back(refunds, booking.model_copy(update={"tickets": booking.tickets[1:]}), 2)

    await late.wake()

    assert await count(redis, event, "Standing") == (1, 1)
    assert (await step(steps.hold, booking_request(event, Standing=9))).booking


async def test_a_late_refund_shows_all_that_its_booking_has_kept(
    reservation: AsyncEngine, steps: ReservationActivities, refunds: ReturnedTickets, late: Late, redis: Redis
) -> None:
    """The sale was never shown: the refund comes first, and the sale is late."""
    event = await on_sale(reservation)
    booking = await paying(steps, event, "A-1-1", "A-1-2", Standing=2)
    await late.begin(step(late.steps.issue, Step(booking=booking)))
    await give_back(refunds, await find(reservation, booking), 1)

    await late.wake()

    assert await owner(redis, event, "A-1-1") is None
    assert await is_sold(reservation, redis, event, "A-1-2")
    assert await redis.zscore(f"seatwright:{{{event}}}:general:Standing:until", str(booking.id)) == float("inf")


@pytest.mark.parametrize("script", ["extend", "hold"])
async def test_a_late_hold_or_payment_does_not_count_places_that_were_given_back(
    reservation: AsyncEngine, steps: ReservationActivities, refunds: ReturnedTickets, redis: Redis, script: str
) -> None:
    event, late = await on_sale(reservation), Late(reservation, redis, script)
    request = booking_request(event, Standing=3)
    if script == "hold":
        await late.begin(step(late.steps.hold, request))
    held = (await step(steps.hold, request)).booking
    assert held
    order = StartPayment(booking=held, window=WINDOW)
    if script == "extend":
        await late.begin(step(late.steps.start_payment, order))
    booking = await step(steps.start_payment, order)
    assert await step(steps.commit, Step(booking=booking)) is None
    await give_back(refunds, await step(steps.issue, Step(booking=booking)), 2)

    await late.stopped.go()  # and it may die then

    assert await count(redis, event, "Standing") == (1, 1)
    await late.wake()
    assert await count(redis, event, "Standing") == (1, 1)


async def test_a_late_end_does_not_free_the_seat_of_a_booking_that_came_back(
    reservation: AsyncEngine, steps: ReservationActivities, late: Late, redis: Redis
) -> None:
    event = await on_sale(reservation)
    held = (await step(steps.hold, booking_request(event, "A-1-1"))).booking
    assert held
    await late.begin(step(late.steps.release, Release(booking=held, to=STATUS.EXPIRED)))
    expired = await step(steps.release, Release(booking=held, to=STATUS.EXPIRED))
    back = (await step(steps.reinstate, Reinstate(booking=expired, window=MINUTE))).booking
    assert back
    assert await step(steps.commit, Step(booking=back)) is None
    await step(steps.issue, Step(booking=back))

    await late.wake()

    assert await owner(redis, event, "A-1-1") == str(held.id)
    assert await is_sold(reservation, redis, event, "A-1-1")


@pytest.mark.parametrize("confirms", [False, True], ids=["still paying", "confirmed"])
async def test_a_late_payment_whose_rival_came_first_leaves_no_hold_on_other_seats(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis, confirms: bool
) -> None:
    event, late = await on_sale(reservation), Late(reservation, redis, "hold")
    request = booking_request(event, "A-1-1").model_copy(update={"accept_alternatives": True})
    held = (await step(steps.hold, request)).booking
    assert held
    expired = await step(steps.release, Release(booking=held, to=STATUS.EXPIRED))
    assert (await step(steps.hold, booking_request(event, "A-1-1"))).booking
    order = Reinstate(booking=expired, window=MINUTE)
    await late.begin(step(late.steps.reinstate, order))
    back = (await step(steps.reinstate, order)).booking
    assert back
    assert back.seats == ("A-1-2",)
    if confirms:
        assert await step(steps.commit, Step(booking=back)) is None
        await step(steps.issue, Step(booking=back))

    with pytest.raises(StaleStep) if confirms else nullcontext():
        await late.wake()

    assert await owner(redis, event, "A-1-2") == str(held.id)
    assert await owner(redis, event, "A-1-3") is None


async def _exchanged(exchanges: ExchangeActivities, engine: AsyncEngine, booking: Booking, seat: str) -> UUID:
    """The exchange of a booking's only ticket, before Redis knows of it."""
    request = exchange_request(booking, (await find(engine, booking)).tickets[0].id, seat)
    assert (await step(exchanges.hold_new_seat, request)).exchange
    await step(exchanges.swap_seats, request.id)
    return request.id


async def test_a_late_call_of_an_exchange_does_not_undo_the_exchange_back(
    reservation: AsyncEngine, steps: ReservationActivities, late: Late, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await bought(steps, event, "A-1-1")
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    there = await _exchanged(exchanges, reservation, booking, "A-1-2")
    await late.begin(step(late.exchanges.show_seats, there))
    await step(exchanges.show_seats, there)
    await step(exchanges.show_seats, await _exchanged(exchanges, reservation, booking, "A-1-1"))

    await late.wake()

    assert await owner(redis, event, "A-1-2") is None
    assert await owner(redis, event, "A-1-1") == str(booking.id)
    assert await is_sold(reservation, redis, event, "A-1-1")


async def test_an_exchange_of_an_emptied_redis_frees_each_seat_its_booking_had(
    reservation: AsyncEngine, steps: ReservationActivities, late: Late, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await paying(steps, event, "A-1-1")
    await late.begin(step(late.steps.issue, Step(booking=booking)))
    await step(steps.issue, Step(booking=booking))
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    await step(exchanges.show_seats, await _exchanged(exchanges, reservation, booking, "A-1-2"))
    await forget(redis, event)

    await late.wake()

    assert await owner(redis, event, "A-1-1") is None
    assert await is_sold(reservation, redis, event, "A-1-2")


async def test_a_refused_exchange_leaves_no_hold_of_the_new_seat(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await bought(steps, event, "A-1-1")
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    request = exchange_request(booking, booking.tickets[0].id, "A-1-2")
    async with reservation.connect() as connection:
        now = (await connection.execute(text("SELECT now()"))).scalar_one()
    too_late = request.model_copy(update={"deadline": now - MINUTE})

    assert (await step(exchanges.hold_new_seat, too_late)).problem

    assert await owner(redis, event, "A-1-2") is None
    assert await is_sold(reservation, redis, event, "A-1-1")


async def test_an_exchange_that_is_refused_leaves_the_seat_to_the_one_that_has_it(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis
) -> None:
    """Two for the same seat: the second one is planned before the first one begins."""
    event = await on_sale(reservation)
    booking = await bought(steps, event, "A-1-1")
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    first, second = (exchange_request(booking, booking.tickets[0].id, "A-1-2") for _ in range(2))

    async def after_the_first(places: Places, ttl: timedelta) -> None:
        assert (await step(exchanges.hold_new_seat, first)).exchange
        await steps.admit(places, ttl)

    beside_it = ExchangeActivities(reservation, SeatLocks(redis), after_the_first)
    refused = (await step(beside_it.hold_new_seat, second)).problem

    assert refused
    assert refused.type is ProblemType.EXCHANGE_IN_PROGRESS
    assert await owner(redis, event, "A-1-2") == str(booking.id)
    await step(exchanges.swap_seats, first.id)
    await step(exchanges.show_seats, first.id)
    assert await is_sold(reservation, redis, event, "A-1-2")
    assert await owner(redis, event, "A-1-1") is None


async def test_the_late_end_of_a_failed_exchange_leaves_the_seat_to_the_next_one(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await bought(steps, event, "A-1-1")
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    failed, live = (exchange_request(booking, booking.tickets[0].id, "A-1-2") for _ in range(2))
    assert (await step(exchanges.hold_new_seat, failed)).exchange
    problem = Problem(type=ProblemType.PAYMENT_DECLINED, detail="declined")
    await step(exchanges.fail_exchange, Fail(exchange_id=failed.id, problem=problem))
    assert (await step(exchanges.hold_new_seat, live)).exchange

    await step(exchanges.show_seats, failed.id)

    assert await owner(redis, event, "A-1-2") == str(booking.id)


async def test_a_refund_leaves_the_seat_that_its_booking_gave_back_and_claims_again(
    reservation: AsyncEngine, steps: ReservationActivities, refunds: ReturnedTickets, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await bought(steps, event, "A-1-1", "A-1-2")
    kept = await give_back(refunds, booking, 1)
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    request = exchange_request(kept, kept.tickets[0].id, "A-1-1")
    assert (await step(exchanges.hold_new_seat, request)).exchange
    async with reservation.begin() as connection:
        await redis_sync.note(connection, booking.id)

    await steps.send_pending_redis_updates()

    assert await owner(redis, event, "A-1-1") == str(booking.id)


async def noted(engine: AsyncEngine) -> list[UUID]:
    async with engine.connect() as connection:
        return await redis_sync.find(connection, limit=100)


async def test_a_sweeper_that_wakes_late_neither_hides_a_seat_nor_loses_an_update(
    reservation: AsyncEngine, steps: ReservationActivities, late: Late, redis: Redis
) -> None:
    """It has read an expired booking that comes back; then Redis misses the sale."""
    event = await on_sale(reservation)
    held = (await step(steps.hold, booking_request(event, "A-1-1"))).booking
    assert held
    async with reservation.begin() as connection:
        expired = await outcomes.end(connection, held, STATUS.EXPIRED)
        await redis_sync.note(connection, held.id)
    await late.begin(late.steps.send_pending_redis_updates())
    back = (await step(steps.reinstate, Reinstate(booking=expired, window=MINUTE))).booking
    assert back
    await confirm(reservation, back)
    async with reservation.begin() as connection:
        await redis_sync.note(connection, held.id)

    await late.wake()

    assert await noted(reservation) == [held.id]
    await steps.send_pending_redis_updates()
    assert await noted(reservation) == []
    assert await owner(redis, event, "A-1-1") == str(held.id)
    assert await is_sold(reservation, redis, event, "A-1-1")


async def test_seats_refunded_while_redis_is_away_are_sold_before_the_money_is_back(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await bought(steps, event, "A-1-1", "A-1-2")
    async with Redis.from_url("redis://127.0.0.1:1") as away:
        refunds = ReturnedTickets(reservation, SeatLocks(away))
        outcome = await step(refunds.accept_refund, refund_request(booking, [booking.tickets[0].id]))
    assert outcome.refund
    assert not outcome.places_shown
    assert await owner(redis, event, "A-1-1") == str(booking.id)

    await steps.send_pending_redis_updates()

    assert (await find(reservation, booking)).status is STATUS.REFUNDING
    assert await noted(reservation) == []
    assert (await step(steps.hold, booking_request(event, "A-1-1"))).booking
    assert await is_sold(reservation, redis, event, "A-1-2")
    assert await owner(redis, event, "A-1-2") == str(booking.id)


async def test_a_sweeper_that_wakes_late_shows_the_booking_as_it_is_then(
    reservation: AsyncEngine, steps: ReservationActivities, refunds: ReturnedTickets, late: Late, redis: Redis
) -> None:
    event = await on_sale(reservation)
    booking = await bought(steps, event, "A-1-1")
    async with reservation.begin() as connection:
        await redis_sync.note(connection, booking.id)
    await late.begin(late.steps.send_pending_redis_updates())
    await give_back(refunds, booking, 1)

    await late.wake()

    assert await owner(redis, event, "A-1-1") is None
    assert await noted(reservation) == []


async def test_a_booking_that_a_late_hold_made_keeps_the_digest_of_its_own_body(
    reservation: AsyncEngine, steps: ReservationActivities
) -> None:
    first = booking_request(await on_sale(reservation), "A-1-1").model_copy(update={"body_sha256": "first"})
    made = await step(steps.hold, first)
    other = first.model_copy(update={"seats": ("A-1-2",), "body_sha256": "other"})

    found = await step(steps.hold, other)

    assert found == made  # so that the API refuses the other body
    assert (found.body_sha256, made.booking and made.booking.seats) == ("first", ("A-1-1",))
