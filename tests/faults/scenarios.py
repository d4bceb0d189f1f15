"""Drives one booking through REST to each effect of the saga, with the ending required after every fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import uuid4

import httpx2

from tests.buyer import CARD, CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.waiting import eventually

SEAT, STANDING, AMOUNT = "A-1-1", 2, 5000 + 2 * 3000
WITHIN = 120  # seconds, of a machine that is busy with many bookings at a time


class Scenario(NamedTuple):
    """The steps of one buyer.

    Attributes:
        act: Performs the steps and returns the booking's id.
        ending: The booking's last status.
    """

    name: str
    act: Callable[[PlatformClient, Buyer, str], Awaitable[str]]
    ending: str
    hold_seconds: int = 300


async def insist(call: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """Repeat a call, as a client should, while its outcome is unknown or the API is down."""

    async def known() -> httpx2.Response | None:
        answer = await call()
        return answer if answer.status_code != 503 else None

    answer = await eventually(known, within=WITHIN, every=0.2)
    assert answer
    return answer


async def hold(buyer: Buyer, event: str) -> str:
    key = str(uuid4())
    answer = await insist(lambda: buyer.hold(event, SEAT, key=key, quantities={"Standing": STANDING}))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def pay(buyer: Buyer, booking: str, method: str = CARD) -> httpx2.Response:
    key = str(uuid4())
    return await insist(lambda: buyer.pay(booking, method, key=key))


async def _buy(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    await pay(buyer, booking)
    return booking


async def _be_declined(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    answer = await pay(buyer, booking, DECLINED_CARD)
    assert answer.status_code == 402, answer.text
    return booking


async def _act_at_the_provider(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    answer = await pay(buyer, booking, CARD_WITH_3DS)
    assert answer.status_code == 202, answer.text
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    return booking


async def _cancel(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    assert (await insist(lambda: buyer.cancel(booking))).status_code == 200
    return booking


async def _walk_away(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    return await hold(buyer, event)


async def _pay_for_what_is_called_off(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    await platform.call_off(event)
    answer = await pay(buyer, booking)
    assert answer.status_code == 409, answer.text
    return booking


async def _be_captured_in_vain(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    """The money is captured, but the provider does not report it until the saga has given up."""
    booking = await hold(buyer, event)
    await platform.provider.will("reset_after", "capture", booking)
    tries = platform.settings.compensation_attempts - 1
    await platform.provider.will("500_before", "retrieve", booking, times=tries)
    answer = await pay(buyer, booking)
    assert answer.status_code == 409, answer.text
    return booking


BUYS = Scenario("buys", _buy, "confirmed")
ACTS = Scenario("acts at the provider's page", _act_at_the_provider, "confirmed")
DECLINED = Scenario("is declined", _be_declined, "held")
CANCELS = Scenario("cancels", _cancel, "cancelled")
EXPIRES = Scenario("walks away", _walk_away, "expired", hold_seconds=2)
CALLED_OFF = Scenario("pays when the event is called off", _pay_for_what_is_called_off, "failed")
REFUNDED = Scenario("is captured in vain", _be_captured_in_vain, "failed")
