"""Provider faults during the undo of a booking; `tests/providers` has the other faults."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.http_client import unless_unavailable
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.any_seat import any_seat

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


@pytest.mark.parametrize("fault", sample(FAULTS, 1, of="faults of an undo"))
async def test_a_capture_with_a_lost_response_is_refunded_despite_refund_faults(
    platform: PlatformClient, fault: str
) -> None:
    (event, seat), buyer = await any_seat(platform), platform.new_buyer()
    booking = await buyer.held(event, seat)
    # Every response to the capture is lost until the saga gives up; a webhook may cause one of the polls.
    await platform.provider.will("reset_after", "capture", booking)
    await platform.provider.will("500_before", "retrieve", booking, times=4)
    await platform.provider.will(fault, "refund", booking)

    await buyer.pay(booking)

    await buyer.ends_as(booking, "failed", within=60)
    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, seat) == "available"


async def test_an_undo_that_keeps_failing_waits_for_an_operator_to_retry_it(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await platform.call_off(event)
    await platform.provider.will("500_before", "cancel", booking, times=1000)

    answer = await unless_unavailable(lambda: buyer.at(platform.hasty).pay(booking, key=key))

    assert answer.status_code == 503
    assert answer.json()["type"].endswith("/outcome-unknown")
    await buyer.ends_as(booking, "needs_attention")
    found = await platform.saga(booking).describe()
    attributes = {pair.key.name: pair.value for pair in found.typed_search_attributes}
    assert attributes["SeatwrightStatus"] == "needs_attention"

    await platform.provider.clear_faults(booking)
    await platform.saga(booking).execute_update("operate", "retry")
    await buyer.ends_as(booking, "failed")
    assert await platform.provider.kept(booking) == 0
