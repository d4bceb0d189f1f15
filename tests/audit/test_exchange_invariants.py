"""With each guard of exchanges broken, the audit names the booking with the wrong seat or money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from activities.payment.payments import Authorize, OfExchange
from activities.reservation.exchanges import ExchangeActivities
from domain.bookings import Booking
from domain.exchanges import LIVE, Exchange, ExchangeRequest, ExchangeState
from domain.money import Money
from tests.audit.harness import Harness, step
from tests.scale import sample

PLACES, STATES = "places belong to live bookings", "states follow from domain events"
OWED, ONCE, OWNER = "money taken is money owed", "a booking is paid once", "a seat has one owner"
WINDOW = "no booking outlasts its window"
HEARS, UNFINISHED = "analytics receives every sale", "every open booking has a running saga"


def _steps(harness: Harness) -> ExchangeActivities:
    return ExchangeActivities(harness.database("reservation"), harness.locks, harness.seats().admit)


async def begun(harness: Harness) -> tuple[Booking, Exchange]:
    """A booking whose seat A-1-1 is being exchanged for A-1-2, which costs the same."""
    booking = await harness.bought("A-1-1")
    request = ExchangeRequest(
        id=uuid4(),
        booking_id=booking.id,
        event_id=harness.event,
        requested_by=booking.user_id,
        ticket=booking.tickets[0].id,
        seat="A-1-2",
        payment=None,
        deadline=datetime.now(UTC) + timedelta(minutes=1),
        body_sha256="",
        window=timedelta(minutes=1),
        attempts=1,
    )
    outcome = await step(_steps(harness).hold_new_seat, request)
    assert outcome.exchange
    return booking, outcome.exchange


async def exchanged(harness: Harness) -> str:
    booking, exchange = await begun(harness)
    await step(_steps(harness).swap_seats, exchange.id)
    await step(_steps(harness).show_seats, exchange.id)
    return str(booking.id)


async def charge(harness: Harness, booking: str) -> None:
    """Capture 1000 for an exchange that does not exist."""
    payment = OfExchange(booking_id=UUID(booking), exchange_id=uuid4())
    order = Authorize(
        **payment.model_dump(),
        amount=Money(amount=1000, currency="EUR"),
        provider="stripe",
        payment_method="pm_card_visa",
        return_url="https://shop.example.test/",
        deadline=datetime.now(UTC) + timedelta(minutes=1),
    )
    await step(harness.money().authorize, order)
    await step(harness.money().capture_difference, payment)


@pytest.mark.thorough  # tests/scenarios/test_exchange.py ends with an audit of exchanged seats
async def test_a_seat_that_is_exchanged_breaks_nothing(harness: Harness) -> None:
    await exchanged(harness)
    told = await harness.relay()
    harness.notify()
    await harness.analyse(told)
    assert await harness.finds() == set()


async def test_an_exchange_without_a_workflow_is_found_but_its_new_seat_is_no_violation(
    harness: Harness,
) -> None:
    booking, _ = await begun(harness)
    await harness.sql("reservation", "UPDATE exchanges SET created_at = now() - interval '1 minute'")
    assert await harness.finds() == {(UNFINISHED, str(booking.id))}


@pytest.mark.parametrize("state", sample(LIVE, 1, of="live exchanges"))
async def test_an_exchange_that_never_ends_is_found_wherever_it_stands(harness: Harness, state: ExchangeState) -> None:
    booking, _ = await begun(harness)
    await harness.saga(booking)
    long_ago = "UPDATE exchanges SET state = :state, created_at = now() - interval '1 day'"
    await harness.sql("reservation", long_ago, state=state)
    assert await harness.finds() == {(WINDOW, str(booking.id))}


async def test_a_seat_that_an_exchange_has_left_claimed_is_found(harness: Harness) -> None:
    booking, _ = await begun(harness)
    await harness.sql("reservation", "DELETE FROM exchanges")
    assert (PLACES, str(booking.id)) in await harness.finds()


async def test_an_old_ticket_that_stays_valid_is_found(harness: Harness) -> None:
    booking = await exchanged(harness)
    await harness.sql("reservation", "UPDATE tickets SET status = 'valid' WHERE booking_id = :id", id=booking)
    assert {(PLACES, booking), (OWNER, f"{harness.event} A-1-1")} <= await harness.finds()


async def test_seats_that_are_swapped_without_a_word_are_found(harness: Harness) -> None:
    booking = await exchanged(harness)
    await harness.sql("reservation", "UPDATE bookings SET seats = '{A-1-1}' WHERE id = :id", id=booking)
    assert (STATES, booking) in await harness.finds()


async def test_a_difference_that_is_kept_for_nothing_is_found(harness: Harness) -> None:
    booking = await exchanged(harness)
    await charge(harness, booking)
    assert await harness.finds() == {(OWED, booking)}


async def test_a_payment_of_no_exchange_is_found_beside_the_bookings_own(harness: Harness) -> None:
    booking = await exchanged(harness)
    await charge(harness, booking)
    await harness.sql("payment", "DELETE FROM attempts WHERE exchange_id IS NOT NULL")
    assert await harness.finds() == {(OWED, booking), (ONCE, booking)}


async def test_an_exchange_that_analytics_has_missed_is_found(harness: Harness) -> None:
    booking = await exchanged(harness)
    told = await harness.relay()
    harness.notify()
    await harness.analyse([message for message in told if message.type != "booking.ticket_exchanged"])
    assert await harness.finds() == {(HEARS, booking)}
