"""Drives one booking through REST to each effect of the saga, with the ending required after every fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2
from temporalio.client import WorkflowHandle

from tests.buyer import CARD, CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.scenarios.test_amount_differences import parks
from tests.scenarios.test_forgotten_payments import forget
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


async def hold(buyer: Buyer, event: str) -> str:
    key = str(uuid4())
    answer = await buyer.hold(event, SEAT, key=key, quantities={"Standing": STANDING})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def pay(buyer: Buyer, booking: str, method: str = CARD, *, key: str | None = None) -> httpx2.Response:
    once = key or str(uuid4())
    return await buyer.pay(booking, method, key=once)


async def _buy(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    await pay(buyer, booking)
    return booking


async def _buy_and_ask_again(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    """Only the row knows which command has paid, since Temporal has forgotten it."""
    booking, key = await hold(buyer, event), str(uuid4())
    await pay(buyer, booking, key=key)
    await forget(platform, booking)
    again = await pay(buyer, booking, key=key)
    assert (again.status_code, len(again.json().get("tickets", ()))) == (200, 1 + STANDING), again.text
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
    assert (await buyer.cancel(booking)).status_code == 200
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


async def _hold_what_is_cancelled_as_read(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    await platform.cancel_as_read(event)

    async def is_reported() -> bool:
        return (await platform.cancellation(event))["report"] is not None

    await eventually(is_reported, within=WITHIN, every=0.2)
    refused = await platform.new_buyer().hold(event, SEAT)
    assert refused.json()["type"].endswith("/event-not-on-sale"), refused.text
    return booking


async def _reserve_another_amount(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    """An operator has to see it, although nothing is kept."""
    booking = await hold(buyer, event)
    answer = await pay(buyer, booking, CARD_WITH_3DS)
    assert answer.status_code == 202, answer.text
    await platform.provider.alter(booking, amount=AMOUNT - 1)
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    await _let_an_operator_retry(platform.saga(booking))
    return booking


async def _get_less_back(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    """The provider refunds less than it was asked for; an operator has it corrected there."""
    booking, key = await _buy(platform, buyer, event), str(uuid4())
    await platform.provider.will("processing", "refund", booking)
    accepted = await buyer.refund(booking, key=key)
    assert accepted.status_code == 202, accepted.text
    [pending] = await eventually(lambda: platform.provider.refunds(booking), within=WITHIN)
    await platform.provider.alter_refund(pending["id"], AMOUNT - 1)
    await platform.provider.decide(pending["id"], "succeeded")
    saga = platform.refund_saga(accepted.json()["id"])
    await saga.signal("provider_has_news")
    await parks(saga, within=WITHIN)

    async def is_flagged() -> bool:
        return [each["state"] for each in await buyer.refunds(booking)] == ["needs_attention"]

    await eventually(is_flagged, within=WITHIN)  # Temporal shows it first where the flag takes long
    await platform.provider.alter_refund(pending["id"], AMOUNT)
    await saga.execute_update("operate", "retry")
    await saga.result()
    assert len(await platform.provider.refunds(booking)) == 1
    return booking


async def _let_an_operator_retry(saga: WorkflowHandle[Any, Any]) -> None:
    await parks(saga, within=WITHIN)
    await saga.execute_update("operate", "retry")


BUYS = Scenario("buys", _buy, "confirmed")
ASKS_AGAIN = Scenario("buys, and asks again when Temporal has forgotten it", _buy_and_ask_again, "confirmed")
ACTS = Scenario("acts at the provider's page", _act_at_the_provider, "confirmed")
DECLINED = Scenario("is declined", _be_declined, "held")
CANCELS = Scenario("cancels", _cancel, "cancelled")
EXPIRES = Scenario("walks away", _walk_away, "expired", hold_seconds=2)
CALLED_OFF = Scenario("pays when the event is called off", _pay_for_what_is_called_off, "failed")
REFUNDED = Scenario("is captured in vain", _be_captured_in_vain, "failed")
CANCELLED_AS_READ = Scenario("holds what is cancelled with If-Match", _hold_what_is_cancelled_as_read, "cancelled")
RESERVES_LESS = Scenario("reserves another amount", _reserve_another_amount, "failed")
GETS_LESS_BACK = Scenario("gets less back than was asked for", _get_less_back, "refunded")
