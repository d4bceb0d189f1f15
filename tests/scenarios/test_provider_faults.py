"""The payment provider misbehaves at each of its calls; bookings still end right, and charge once or not at all."""

from __future__ import annotations

import pytest

from tests.box_office import BoxOffice

FAULTS = (
    "429",
    "500_before",
    "500_saved",
    "500_after",
    "timeout_before",
    "timeout_after",
    "reset_before",
    "reset_after",
)


@pytest.mark.parametrize("operation", ["create", "confirm", "capture"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_on_the_way_to_the_ticket_is_looked_up_and_charged_once(
    box_office: BoxOffice, operation: str, fault: str
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.will(fault, operation, booking)

    answer = await buyer.pay(booking)

    assert (answer.status_code, answer.json()["status"]) == (200, "confirmed")
    kept = [each["captured"] - each["refunded"] for each in await box_office.provider.intents(booking)]
    assert sorted(kept)[-1] == sum(kept) == 5000


@pytest.mark.parametrize("operation", ["void", "refund"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_on_the_way_back_still_returns_all_money(
    box_office: BoxOffice, operation: str, fault: str
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    if operation == "refund":
        # The money is taken, but every answer to the capture is lost until we give up and go back.
        await box_office.provider.will("reset_after", "capture", booking)
        await box_office.provider.will("500_before", "retrieve", booking, times=3)
    else:
        await box_office.call_off(event)
    await box_office.provider.will(fault, "cancel" if operation == "void" else "refund", booking)

    await buyer.pay(booking)

    await buyer.ends_as(booking, "failed", within=60)
    assert await box_office.provider.kept(booking) == 0
    assert await box_office.seat(event, "A-1-1") == "available"


async def test_a_capture_that_the_provider_refuses_undoes_the_booking(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.will("decline", "capture", booking, times=9)

    answer = await buyer.pay(booking)

    assert answer.status_code in (402, 503)
    await buyer.ends_as(booking, "failed")
    assert await box_office.provider.kept(booking) == 0
    assert await box_office.seat(event, "A-1-1") == "available"


async def test_an_undo_that_keeps_failing_waits_for_an_operator_who_lets_it_try_again(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await box_office.call_off(event)
    await box_office.provider.will("500_before", "cancel", booking, times=1000)

    answer = await buyer.pay(booking)

    assert answer.status_code == 503
    assert answer.json()["type"].endswith("/outcome-unknown")
    await buyer.ends_as(booking, "needs_attention")
    found = await box_office.saga(booking).describe()
    attributes = {pair.key.name: pair.value for pair in found.typed_search_attributes}
    assert attributes["SeatwrightStatus"] == "needs_attention"

    await box_office.provider.forgive(booking)
    await box_office.saga(booking).execute_update("operate", "retry")
    await buyer.ends_as(booking, "failed")
    assert await box_office.provider.kept(booking) == 0
