"""What a provider tells of a refund that it had left pending is heard by whoever waits for it, and by nobody else."""

from __future__ import annotations

from uuid import uuid4

import orjson
import pytest

from config.settings import Settings
from tests.box_office import BoxOffice, Buyer
from tests.faults.stories import hold
from tests.providers.tills import TILLS, Till, Visit
from tests.waiting import eventually
from tests.webhooks import post, rows

SIGNALED = 26
OF_REFUNDS = {
    "stripe": "refund.updated",
    "iyzico": "REFUND_RETRY_SUCCESS",
    "payu": "refund.FINALIZED",
}


async def signals(office: BoxOffice, refund: str) -> int:
    return len([e async for e in office.refund_saga(refund).fetch_history_events() if e.event_type == SIGNALED])


async def left_pending(office: BoxOffice, buyer: Buyer, till: Till, *, drop: float = 0) -> tuple[str, str, str]:
    """A booking, its refund, and the provider's, which waits there for so long that we ask but seldom."""
    event = await office.event()
    booking = await hold(buyer, event)
    await Visit(office, buyer, event, booking, till).pay()
    await buyer.ends_as(booking, "confirmed", within=60)
    await office.provider.send(booking, drop=drop)
    await office.provider.will("processing", "refund", booking, face=till.name)
    refund = (await buyer.refund(booking)).json()["id"]
    pending = await eventually(lambda: office.provider.left_pending(booking, till.name))
    assert pending

    async def is_noted() -> bool:
        return rows(office.settings, "SELECT state FROM refunds WHERE refund_id = %s", refund) == [("pending",)]

    await eventually(is_noted)
    return booking, refund, pending


@pytest.mark.parametrize("till", TILLS, ids=lambda till: till.name)
async def test_a_refund_that_waits_hears_its_providers_news(box_office: BoxOffice, till: Till) -> None:
    buyer = box_office.somebody()
    booking, refund, pending = await left_pending(box_office, buyer, till)
    before = await signals(box_office, refund)

    await box_office.provider.decide(pending, "succeeded", till.name)

    await buyer.ends_as(booking, "refunded")
    heard = rows(box_office.settings, "SELECT type FROM webhooks WHERE booking_id = %s AND course = 'refund'", booking)
    assert heard == [(OF_REFUNDS[till.name],)]
    assert await signals(box_office, refund) == before + 1


async def test_news_of_a_refund_that_is_lost_only_costs_time(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking, refund, pending = await left_pending(box_office, buyer, TILLS[0], drop=1)
    await box_office.provider.decide(pending, "failed")
    await buyer.ends_as(booking, "refunded")
    assert await signals(box_office, refund) == 0


def charge_refunded(intent: str) -> bytes:
    about = {"object": "charge", "id": "ch_1", "payment_intent": intent}
    return orjson.dumps({"id": f"evt_{uuid4().hex}", "type": "charge.refunded", "data": {"object": about}})


async def test_news_of_a_refund_that_nobody_waits_for_is_kept_and_changes_nothing(
    box_office: BoxOffice, settings: Settings
) -> None:
    """Also of one that was made by hand at the provider: the audit finds that, and no message is believed."""
    buyer = box_office.somebody()
    booking = (await buyer.bought(await box_office.event(), "A-1-1"))["id"]
    [intent] = await box_office.provider.intents(booking)
    body = charge_refunded(intent["id"])
    for _ in range(2):
        assert (await post(box_office.http, settings, body)).status_code == 200
    kept = rows(settings, "SELECT course FROM webhooks WHERE event_id = %s", orjson.loads(body)["id"])
    assert kept == [("ignored",)]
    assert await buyer.status(booking) == "confirmed"
