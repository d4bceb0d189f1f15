"""A workflow that an operator resets to its first task does what the rows say, and holds nothing that they do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from audit.run import audit
from tests.buyer import CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.any_seat import any_seat
from tests.waiting import eventually, in_time


async def end(platform: PlatformClient, booking: str) -> None:
    """Reset the booking's workflow, and wait until its new run has ended."""
    await platform.reset(platform.saga(booking))
    await in_time(platform.saga(booking).result(), within=60)


async def refunded(platform: PlatformClient, buyer: Buyer, event: str) -> dict[str, Any]:
    booking = await buyer.bought(event, "A-1-1", quantities={"Standing": 2})
    assert (await buyer.refund(booking["id"])).status_code == 202
    await buyer.ends_as(booking["id"], "refunded")
    return booking


async def partly_refunded(platform: PlatformClient, buyer: Buyer, event: str) -> dict[str, Any]:
    booking = await buyer.bought(event, "A-1-1", "A-1-2", quantities={"Standing": 2})
    ticket = next(ticket["id"] for ticket in booking["tickets"] if ticket["seat"] == "A-1-1")
    assert (await buyer.refund(booking["id"], ticket)).status_code == 202
    await buyer.ends_as(booking["id"], "partially_refunded")
    return booking


async def exchanged(platform: PlatformClient, buyer: Buyer, event: str) -> dict[str, Any]:
    booking = await buyer.bought(event, "A-1-1")
    answer = await buyer.exchange(booking["id"], booking["tickets"][0]["id"], "A-2-2", method=None)
    assert answer.status_code == 200, answer.text
    return booking


async def cancelled(platform: PlatformClient, buyer: Buyer, event: str) -> dict[str, Any]:
    booking = await buyer.held(event, "A-1-1", quantities={"Standing": 2})
    assert (await buyer.cancel(booking)).status_code == 200
    return {"id": booking}


WAYS = [refunded, partly_refunded, exchanged, cancelled]


@pytest.mark.parametrize("gives_up", sample(WAYS, 2, of="ways to give up a place"))
async def test_a_reset_booking_keeps_no_place_that_it_has_given_up(
    platform: PlatformClient, gives_up: Callable[[PlatformClient, Buyer, str], Awaitable[dict[str, Any]]]
) -> None:
    event, buyer = await platform.event(standing=4), platform.new_buyer()
    booking = await gives_up(platform, buyer, event)
    before = await buyer.booking(booking["id"])
    free = await platform.free_places(event, "Standing")

    await end(platform, booking["id"])

    assert await buyer.booking(booking["id"]) == before
    others = await platform.new_buyer().hold(event, "A-1-1", quantities={"Standing": free})
    assert others.status_code == 201, others.text  # and the module's audit finds nothing


async def test_a_reset_of_a_sold_booking_keeps_its_places(platform: PlatformClient) -> None:
    (event, seat), buyer, key = await any_seat(platform), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, seat)
    assert (await buyer.pay(booking, key=key)).status_code == 200
    await end(platform, booking)
    assert await platform.sold(event, seat)
    again = await buyer.pay(booking, key=key)
    assert (again.status_code, again.json()["status"]) == (200, "confirmed")


async def test_a_reset_while_a_refund_is_pending_leaves_the_audit_clean(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = str((await buyer.bought(event, "A-1-1"))["id"])
    await platform.provider.will("processing", "refund", booking)
    assert (await buyer.refund(booking)).status_code == 202
    [pending] = await eventually(lambda: platform.provider.refunds(booking))
    await end(platform, booking)
    await platform.provider.decide(pending["id"], "succeeded")
    await buyer.ends_as(booking, "refunded", within=60)

    async def is_clean() -> bool:
        return not await audit(platform.settings, [UUID(event)])

    await eventually(is_clean, within=60)


async def test_a_reset_in_3d_secure_undoes_the_payment_and_its_key_says_so(platform: PlatformClient) -> None:
    (event, seat), buyer, declined, key = await any_seat(platform), platform.new_buyer(), str(uuid4()), str(uuid4())
    booking = await buyer.held(event, seat)
    assert (await buyer.pay(booking, DECLINED_CARD, key=declined)).status_code == 402
    assert (await buyer.pay(booking, CARD_WITH_3DS, key=key)).status_code == 202
    await end(platform, booking)
    assert await buyer.status(booking) == "failed"
    for each, method in ((key, CARD_WITH_3DS), (declined, DECLINED_CARD)):
        answer = await buyer.pay(booking, method, key=each)
        assert answer.json()["type"].endswith("/booking-failed"), answer.text
    assert await platform.provider.kept(booking) == 0
    assert (await platform.new_buyer().hold(event, seat)).status_code == 201


@pytest.mark.thorough  # a reset refund is replayed from tests/histories, too
async def test_a_reset_refund_that_an_operator_has_made_waits_for_no_operator_again(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = str((await buyer.bought(event, "A-1-1"))["id"])
    await platform.provider.will("decline", "refund", booking, times=3)
    refund = (await buyer.refund(booking)).json()["id"]

    async def waits() -> bool:
        return bool((await buyer.refunds(booking))[-1]["state"] == "needs_attention")

    await eventually(waits, within=60)
    await platform.refund_by_hand(booking)
    await platform.refund_saga(refund).execute_update("operate", "resolve")
    await in_time(platform.refund_saga(refund).result(), within=60)
    await platform.reset(platform.refund_saga(refund))
    await in_time(platform.refund_saga(refund).result(), within=60)
    assert (await buyer.refunds(booking))[-1]["state"] == "succeeded"
