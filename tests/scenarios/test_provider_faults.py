"""The payment provider misbehaves while a booking is undone. What else can go wrong there: `tests/providers`."""

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


@pytest.mark.parametrize("fault", FAULTS)
async def test_money_that_was_taken_unheard_goes_back_whatever_happens_to_its_refund(
    box_office: BoxOffice, fault: str
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    # Every answer to the capture is lost until we give up and go back; one of the looks may be a webhook's.
    await box_office.provider.will("reset_after", "capture", booking)
    await box_office.provider.will("500_before", "retrieve", booking, times=4)
    await box_office.provider.will(fault, "refund", booking)

    await buyer.pay(booking)

    await buyer.ends_as(booking, "failed", within=60)
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
