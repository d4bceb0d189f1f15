"""A worker that Temporal has given up continues a step, while another worker undoes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from redis.asyncio import Redis

from activities.reservation.bookings import ReservationActivities, Step
from activities.reservation.exchanges import ExchangeActivities
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks
from config.settings import Settings, secret
from db.engine import open_engine
from db.reservation.bookings.outcomes import TicketsForbidden
from domain.bookings import Booking
from domain.exchanges import ExchangeState
from domain.problems import ProblemType
from tests.audit.harness import step
from tests.platform_client import PlatformClient
from tests.requests import exchange_request
from tests.scale import sample
from tests.scenarios.conftest import WINDOW
from tests.waiting import eventually


@pytest.fixture
async def exchanging(settings: Settings) -> AsyncIterator[ExchangeActivities]:
    engine = open_engine(settings.database_url("reservation"), pool_size=2, serves_callers=False)
    async with Redis.from_url(secret(settings.redis_url)) as redis:
        locks = SeatLocks(redis)
        bookings = ReservationActivities(engine, locks, HoldQuota(redis, UNLIMITED), WINDOW)
        yield ExchangeActivities(engine, locks, bookings.admit)
    await engine.dispose()


async def test_no_tickets_are_issued_for_money_that_is_being_refunded(
    platform: PlatformClient, left_behind: ReservationActivities
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("429", "confirm", booking, retry_after=5)
    await platform.provider.will("429", "cancel", booking, times=1000, retry_after=5)
    paying = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: platform.provider.calls(booking, "confirm"), every=0.02)
    cancelling = asyncio.create_task(buyer.cancel(booking))
    await eventually(lambda: platform.provider.calls(booking, "cancel"), every=0.02)

    as_it_stands = await step(left_behind.look, UUID(booking))
    with pytest.raises(TicketsForbidden):
        await step(left_behind.issue, Step(booking=as_it_stands))

    await platform.provider.clear_faults(booking)
    await asyncio.gather(paying, cancelling)
    await buyer.ends_as(booking, "cancelled")
    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, "A-1-1") == "available"


@pytest.mark.parametrize("new", sample(["A-1-2", "B-1-1"], 1, of="an equal seat, and a cheaper one"))
async def test_a_free_exchange_is_refused_after_the_event_was_cancelled(
    platform: PlatformClient, exchanging: ExchangeActivities, new: str
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    request = exchange_request(Booking.model_validate(booking), booking["tickets"][0]["id"], new)
    assert (await step(exchanging.hold_new_seat, request)).exchange
    await platform.cancel(event)

    ended = await step(exchanging.swap_seats, request.id)

    assert ended.problem
    assert (ended.state, ended.problem.type) == (ExchangeState.FAILED, ProblemType.EVENT_NOT_ON_SALE)
    assert await step(exchanging.swap_seats, request.id) == ended
    await buyer.ends_as(booking["id"], "refunded", within=60)
    assert await platform.provider.kept(booking["id"]) == 0
    await step(exchanging.show_seats, request.id)


async def test_tickets_that_are_issued_stay(platform: PlatformClient, left_behind: ReservationActivities) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    there = await step(left_behind.forbid_tickets, UUID(booking["id"]))
    seen = await buyer.booking(booking["id"])
    assert seen | there.model_dump(mode="json", exclude={"tickets"}) == seen
    assert [str(ticket.id) for ticket in there.tickets] == [ticket["id"] for ticket in seen["tickets"]]
