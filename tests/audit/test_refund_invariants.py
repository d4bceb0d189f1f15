"""With each guard of refunds broken, the audit names the booking with wrong money or places."""

from __future__ import annotations

from uuid import uuid4

import pytest

from activities.payment.refunds import GiveBack, RefundActivities
from activities.reservation.refunds import NoteProviderRefund, ReturnedTickets
from domain.bookings import Booking
from domain.money import Money
from domain.payments import ProviderRefundState, RefundByProvider
from domain.refunds import Refund, RefundCause, RefundRequest, RefundState
from sandbox.testing import SandboxProcess
from tests.audit.harness import Harness, step
from tests.requests import refund_request

OWED = "money taken is money owed"
PLACES, STATES = "places belong to live bookings", "states follow from domain events"
COUNTED, HEARS = "sales are counted once", "analytics receives every sale"
UNFINISHED = "every open booking has a running saga"
PRICE = 5000


async def accepted(
    harness: Harness, *seats: str, give_back: int | None = None, cause: RefundCause = RefundCause.BUYER
) -> tuple[Booking, Refund]:
    """A booking with all or the first tickets refunded, before the money is returned."""
    booking = await harness.bought(*seats)
    request = refund_request(booking, [ticket.id for ticket in booking.tickets[:give_back]], cause)
    outcome = await step(_returned(harness).accept_refund, request)
    assert outcome.refund
    assert outcome.booking
    return outcome.booking, outcome.refund


async def refunded(
    harness: Harness, *seats: str, give_back: int | None = None, cause: RefundCause = RefundCause.BUYER
) -> str:
    booking, refund = await accepted(harness, *seats, give_back=give_back, cause=cause)
    order = GiveBack(refund_id=refund.id, booking_id=booking.id, amount=refund.amount, number=1)
    await step(RefundActivities(harness.database("payment"), {"stripe": harness.gateway}).give_refund, order)
    await step(_returned(harness).settle_refund, refund.id)
    return str(booking.id)


def _returned(harness: Harness) -> ReturnedTickets:
    return ReturnedTickets(harness.database("reservation"), harness.locks)


@pytest.mark.thorough  # tests/scenarios/test_refunds.py audits such refunds
async def test_partial_and_full_refunds_break_no_invariant(harness: Harness) -> None:
    await refunded(harness, "A-1-1", "A-1-2", give_back=1)
    await refunded(harness, "A-1-3")
    told = await harness.relay()
    harness.notify()
    await harness.analyse(told)
    assert await harness.finds() == set()


async def test_a_failed_refund_that_was_repeated_is_counted_once_by_every_consumer(harness: Harness) -> None:
    booking, refund = await accepted(harness, "A-1-1", "A-1-2")
    order = GiveBack(refund_id=refund.id, booking_id=booking.id, amount=refund.amount, number=1)
    await step(RefundActivities(harness.database("payment"), {"stripe": harness.gateway}).give_refund, order)
    for _ in range(2):
        await step(_returned(harness).settle_refund, refund.id)
        assert await step(_returned(harness).take_back_refund, refund.id)
        assert await step(_returned(harness).take_back_refund, refund.id)
    await step(_returned(harness).settle_refund, refund.id)
    told = await harness.relay()
    assert [message.type for message in told].count("booking.refund_taken_back") == 2
    harness.notify()
    await harness.analyse(told)
    assert await harness.finds() == set()


async def test_what_the_dashboard_gave_of_a_refund_that_was_taken_back_is_owed_no_more(
    harness: Harness, sandbox: SandboxProcess
) -> None:
    booking, refund = await accepted(harness, "A-1-1")
    money = RefundActivities(harness.database("payment"), {"stripe": harness.gateway})
    order = GiveBack(refund_id=refund.id, booking_id=booking.id, amount=refund.amount, number=1)
    await step(money.give_refund, order)
    [intent] = sandbox.intents(str(booking.id))
    [given] = sandbox.call("GET", f"/_sandbox/intents/{intent['id']}/refunds")["refunds"]
    sandbox.call("POST", f"/_sandbox/refunds/{given['id']}/settle", {"outcome": "failed"})
    assert await step(money.take_back, refund.id)
    price = Money(amount=refund.amount, currency=refund.currency)
    await harness.gateway.refund(intent["id"], price, key=str(uuid4()))

    assert (await step(money.give_refund, order)).state is ProviderRefundState.SUCCEEDED
    assert not await step(money.take_back, refund.id)


async def test_a_refund_that_was_settled_since_it_was_seen_is_not_taken_back(harness: Harness) -> None:
    _, refund = await accepted(harness, "A-1-1", "A-1-2")
    returned = _returned(harness)
    before = await step(returned.see_refund, refund.id)
    await step(returned.settle_refund, refund.id)
    assert await step(returned.take_back_as_seen, before) is None
    assert "booking.refund_taken_back" not in [message.type for message in await harness.relay()]
    assert await step(returned.take_back_as_seen, await step(returned.see_refund, refund.id))


async def test_a_refund_is_taken_back_only_after_the_bookings_other_refund(harness: Harness) -> None:
    booking, first = await accepted(harness, "A-1-1", "A-1-2", give_back=1)
    await step(_returned(harness).settle_refund, first.id)
    other = RefundRequest(
        id=uuid4(),
        booking_id=booking.id,
        event_id=harness.event,
        requested_by=booking.user_id,
        cause=RefundCause.BUYER,
        reason="",
        body_sha256="",
    )
    await step(_returned(harness).accept_refund, other)
    assert await step(_returned(harness).take_back_refund, first.id) is None

    await step(_returned(harness).settle_refund, other.id)

    taken_back = await step(_returned(harness).take_back_refund, first.id)
    assert taken_back
    assert taken_back.id == first.id
    assert (await step(_returned(harness).settle_refund, first.id)).state is RefundState.SUCCEEDED


async def test_a_refund_that_the_provider_knows_nothing_of_is_found(harness: Harness) -> None:
    booking = await refunded(harness, "A-1-1", "A-1-2", give_back=1)
    await harness.sql("reservation", "UPDATE bookings SET refunded = refunded + 1000 WHERE id = :id", id=booking)
    assert await harness.finds() == {(OWED, booking), (STATES, booking)}


async def test_a_refund_by_the_provider_of_other_money_than_the_bookings_is_found(harness: Harness) -> None:
    booking = await harness.bought("A-1-1")
    made = NoteProviderRefund(booking_id=booking.id, made=RefundByProvider(refund_id=uuid4(), amount=1000))
    await step(_returned(harness).note_provider_refund, made)
    assert await harness.finds() == {(OWED, str(booking.id))}


async def test_money_refunded_twice_is_found(harness: Harness) -> None:
    booking = await refunded(harness, "A-1-1", "A-1-2", give_back=1)
    [intent] = [each async for each in harness.connections.provider.intents(None) if str(each.booking_id) == booking]
    await harness.gateway.refund(intent.id, Money(amount=PRICE, currency="EUR"), key=str(uuid4()))
    assert await harness.finds() == {(OWED, booking), ("the ledger matches the provider", booking)}


async def test_a_fee_that_a_cancelled_event_keeps_is_found_and_a_buyers_is_not(harness: Harness) -> None:
    await harness.sql("reservation", "UPDATE events SET refund_fee_percent = 10")
    await refunded(harness, "A-1-1", cause=RefundCause.BUYER)
    booking = await refunded(harness, "A-1-2", cause=RefundCause.EVENT_CANCELLED)
    assert await harness.finds() == {("a cancelled event keeps only earlier fees", booking)}


async def test_a_fee_of_a_buyers_own_refund_after_the_cancellation_is_found(harness: Harness) -> None:
    await harness.sql("reservation", "UPDATE events SET refund_fee_percent = 10")
    await refunded(harness, "A-1-1")
    begun = "INSERT INTO cancellations (event_id, requested_by) VALUES (:event, :event)"
    await harness.sql("reservation", begun, event=harness.event)
    booking = await refunded(harness, "A-1-2")  # the guard is broken: the event is still on sale
    found = {each for each in await harness.finds() if each[0] == "a cancelled event keeps only earlier fees"}
    assert found == {("a cancelled event keeps only earlier fees", booking)}


async def test_a_ticket_that_is_valid_again_after_its_refund_is_found(harness: Harness) -> None:
    booking = await refunded(harness, "A-1-1", "A-1-2", give_back=1)
    change = "UPDATE tickets SET status = 'valid' WHERE booking_id = :id"
    await harness.sql("reservation", change, id=booking)
    assert (PLACES, booking) in await harness.finds()


async def test_a_refund_without_a_workflow_is_found(harness: Harness) -> None:
    booking, _ = await accepted(harness, "A-1-1")
    # No workflow moves the money any more, so it is checked: the ticket is void, but the money was not returned.
    change = "UPDATE bookings SET updated_at = now() - interval '1 minute' WHERE id = :id"
    await harness.sql("reservation", change, id=booking.id)
    assert (UNFINISHED, str(booking.id)) in await harness.finds()


async def test_a_refund_that_analytics_has_missed_is_found(harness: Harness) -> None:
    booking = await refunded(harness, "A-1-1")
    told = await harness.relay()
    harness.notify()
    await harness.analyse([message for message in told if message.type != "booking.refunded"])
    assert await harness.finds() == {(HEARS, booking)}


async def test_a_refund_counted_twice_is_found_when_the_inbox_is_emptied(harness: Harness) -> None:
    await refunded(harness, "A-1-1", "A-1-2", give_back=1)
    told = await harness.relay()
    harness.notify()
    await harness.analyse(told)
    [refund] = [message for message in told if message.type == "booking.partially_refunded"]
    await harness.sql("analytics", "DELETE FROM inbox WHERE domain_event_id = :id", id=refund.domain_event_id)
    await harness.analyse([refund])
    assert await harness.finds() == {(COUNTED, str(harness.event))}
