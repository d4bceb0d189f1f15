"""A refund's guards broken on a private event: the audit sees it, by the booking's id."""

from __future__ import annotations

import psycopg

from tests.audit.charges import Charges
from tests.audit.conftest import Auditor
from tests.audit.test_invariants import OWED, PLACES, STATES
from tests.box_office import BoxOffice
from tests.scenarios.test_refunds import accepted, becomes

UNFINISHED = "what is unfinished is being finished"


async def given_back_in_part(box_office: BoxOffice, event: str) -> str:
    buyer = box_office.somebody()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await accepted(buyer, booking["id"], booking["tickets"][0]["id"])
    await becomes(buyer, booking["id"], "partially_refunded")
    return str(booking["id"])


async def test_a_refund_that_the_provider_knows_nothing_of_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await given_back_in_part(box_office, event)
    change = "UPDATE bookings SET refunded = refunded + %s WHERE id = %s"
    reservation.execute(change, [1000, booking])
    assert await auditor.finds(event) == {
        (OWED, booking, "kept 5000, owed 4000"),
        (STATES, booking, "the row says refunded 6000"),
    }
    reservation.execute(change, [-1000, booking])


async def test_money_given_back_twice_is_found(box_office: BoxOffice, auditor: Auditor, charges: Charges) -> None:
    event = await box_office.event()
    booking = await given_back_in_part(box_office, event)
    [intent] = await box_office.provider.intents(booking)
    await charges.refund(intent["id"])
    assert await auditor.finds(event) == {(OWED, booking, "kept 0, owed 5000")}
    await charges.charge(booking, 5000)


async def test_a_ticket_that_is_valid_again_after_its_refund_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await given_back_in_part(box_office, event)
    change = "UPDATE tickets SET status = %s WHERE booking_id = %s AND refund_id IS NOT NULL"
    reservation.execute(change, ["valid", booking])
    found = await auditor.invariants_and_subjects(event)
    reservation.execute(change, ["void", booking])
    assert (PLACES, booking) in found


async def test_a_refund_without_a_workflow_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await given_back_in_part(box_office, event)
    change = "UPDATE bookings SET status = %s, updated_at = now() - interval '1 minute' WHERE id = %s"
    reservation.execute(change, ["refunding", booking])
    found = await auditor.invariants_and_subjects(event)
    reservation.execute(change, ["partially_refunded", booking])
    assert (UNFINISHED, booking) in found
