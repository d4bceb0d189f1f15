"""An organizer selects the payment providers of an event; no other provider is used."""

from __future__ import annotations

from typing import Any

import pytest

from domain.identity import Role
from tests.platform_client import PlatformClient


def refused(answer: Any) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["type"].rsplit("/")[-1], body["field"]


async def test_an_event_is_paid_only_by_the_providers_that_its_organizer_admits(platform: PlatformClient) -> None:
    event, buyer = await platform.event(providers=["payu", "stripe"]), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    assert refused(await buyer.pay(booking, None, provider="iyzico")) == (422, "invalid-request", "provider")
    assert await buyer.status(booking) == "held"
    assert await platform.provider.intents(booking) == []
    assert (await buyer.pay(booking)).status_code == 200
    assert (await platform.http.get(f"/v1/events/{event}")).json()["providers"] == ["payu", "stripe"]


async def test_an_exchange_is_paid_only_by_them_either(platform: PlatformClient) -> None:
    event, buyer = await platform.event(providers=["stripe"]), platform.new_buyer()
    booking = await buyer.bought(event, "B-1-1")
    ticket = booking["tickets"][0]["id"]
    by_payu = await buyer.exchange(booking["id"], ticket, "A-1-1", method=None, provider="payu")
    assert refused(by_payu) == (422, "invalid-request", "provider")
    assert await platform.seat(event, "A-1-1") == "available"
    assert (await buyer.exchange(booking["id"], ticket, "A-1-1")).status_code == 200


@pytest.mark.parametrize(
    "providers", [[], ["paypal"], ["stripe", "payu"], "stripe"], ids=["none", "unknown", "not in TRY", "no list"]
)
async def test_providers_that_cannot_take_an_events_money_are_refused(platform: PlatformClient, providers: Any) -> None:
    organizer = platform.new_buyer(Role.ORGANIZER)
    play = {
        "name": "Hamlet",
        "category": "test",
        "venue": {"name": "Hall", "city": "Istanbul", "country": "TR", "latitude": 41.0, "longitude": 29.0},
        "starts_at": "2100-05-01T19:30:00Z",
        "currency": "TRY",
        "hold_seconds": 600,
        "sections": [{"name": "A", "kind": "seated", "rows": 1, "seats_per_row": 1, "price": 1}],
    }
    answer = await organizer.post("/v1/events", play | {"providers": providers})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith("body.providers")
