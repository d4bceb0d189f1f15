"""Buyers of a random run: each does what the plan says, however badly everybody else behaves."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import httpx2

from tests.platform_client import PlatformClient
from tests.providers.checkouts import Visit
from tests.providers.plan import Trip
from tests.waiting import eventually

OVER = frozenset({"confirmed", "cancelled", "expired", "failed", "refunded", "partially_refunded"})
MOVING = frozenset({"paying", "action_required"})


async def travel(platform: PlatformClient, event: str, trip: Trip) -> str | None:
    """Live through one trip; the booking's id, or None where others were faster."""
    buyer, key = platform.new_buyer(), str(uuid4())
    quantities = {"Standing": trip.standing} if trip.standing else {}
    held = await buyer.hold(event, *trip.seats, key=key, quantities=quantities)
    if held.status_code == 409:
        return None
    assert held.status_code == 201, held.text
    visit = Visit(platform, buyer, event, str(held.json()["id"]), trip.checkout)
    await platform.provider.send(visit.booking, **trip.manner)
    for fault in trip.faults:
        await platform.provider.will(booking=visit.booking, **fault)
    with suppress(httpx2.HTTPError, OSError, AssertionError):  # a page that fails is closed by who looks at it
        await _follow(visit, trip)
    return visit.booking


async def _follow(visit: Visit, trip: Trip) -> None:
    checkout = trip.checkout
    match trip.wish:
        case "pay":
            await visit.pay()
        case "be declined":
            await visit.pay(checkout.declines[trip.card])
            await visit.pay()
        case "say yes" | "say no":
            await visit.pay(checkout.asking, approves=trip.wish == "say yes")
        case "walk away":
            await checkout.go(await visit.order(checkout.asking), checkout.asking)
        case "cancel":
            await visit.order(checkout.asking)
            await visit.buyer.cancel(visit.booking)
        case "be refunded":
            await visit.pay()
            await eventually(lambda: _is_decided(visit), within=60)
            await visit.buyer.refund(visit.booking, key="once")


async def _is_decided(visit: Visit) -> bool:
    return await visit.buyer.status(visit.booking) not in MOVING
