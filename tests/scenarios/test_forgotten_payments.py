"""A payment's key is answered also when Temporal has forgotten the command, after a reset or after the retention."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.buyer import CARD, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.scale import sample


async def forget(platform: PlatformClient, booking: str) -> None:
    """Let Temporal forget the commands of a booking that has ended: its latest run has none."""
    saga = platform.saga(booking)
    await saga.result()
    await platform.reset(saga, without_updates=True)
    await saga.result()


async def answer(buyer: Buyer, booking: str, method: str, key: str) -> tuple[int, str]:
    response = await buyer.pay(booking, method, key=key)
    return response.status_code, response.json().get("type", "").rpartition("/")[2]


async def test_the_key_that_paid_gets_its_tickets_and_another_key_is_refused(platform: PlatformClient) -> None:
    event, buyer, declined, paid = await platform.event(), platform.new_buyer(), str(uuid4()), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    assert await answer(buyer, booking, DECLINED_CARD, declined) == (402, "payment-declined")
    first = await buyer.pay(booking, key=paid)
    await forget(platform, booking)

    again = await buyer.pay(booking, key=paid)

    assert (again.status_code, again.json()["tickets"]) == (200, first.json()["tickets"]), again.text
    assert await answer(buyer, booking, DECLINED_CARD, declined) == (409, "refund-required")
    assert await answer(buyer, booking, CARD, str(uuid4())) == (409, "refund-required")
    assert await answer(buyer, booking, DECLINED_CARD, paid) == (422, "idempotency-key-reused")
    assert len(await platform.provider.calls(booking, "capture")) == 1


@pytest.mark.parametrize("end", sample(["cancelled", "failed"], 1, of="ends of a forgotten payment"))
async def test_the_key_of_a_payment_that_failed_is_answered_with_the_cause(end: str, platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    if end == "cancelled":
        cause = await answer(buyer, booking, DECLINED_CARD, key)
        await buyer.cancel(booking)
    else:
        await platform.call_off(event)
        cause = await answer(buyer, booking, CARD, key)
    await buyer.ends_as(booking, end)
    await forget(platform, booking)

    method = DECLINED_CARD if end == "cancelled" else CARD
    assert await answer(buyer, booking, method, key) == cause
    assert await answer(buyer, booking, method, str(uuid4())) == (409, "wrong-state")
