"""What can happen to a payment; each scenario answers the status with which its booking must end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from uuid import uuid4

import httpx2

from tests.buyer import with_reason
from tests.faults.scenarios import WITHIN
from tests.providers.checkouts import Card, Visit
from tests.waiting import eventually

Act = Callable[[Visit], Awaitable[str]]

LOST_FOR = 4.0
"""Seconds for which a lost answer is waited for: more than the gateways wait."""


async def pays(visit: Visit) -> str:
    await visit.pay()
    return "confirmed"


async def _came_to_nothing(visit: Visit, card: Card, key: str) -> httpx2.Response:
    """What the order's repetition says when the seats are held again."""
    await visit.buyer.ends_as(visit.booking, "held", within=WITHIN)
    return await with_reason(lambda: visit.order(card, key))


def is_declined(why: str) -> Act:
    """Told why, the buyer keeps the seats and pays with another card."""

    async def act(visit: Visit) -> str:
        card, key = visit.checkout.declines[why], str(uuid4())
        await visit.pay(card, key=key)
        told = await _came_to_nothing(visit, card, key)
        assert (told.status_code, told.json()["code"]) == (402, card.code), told.text
        return await pays(visit)

    return act


async def says_yes_at_the_bank(visit: Visit) -> str:
    await visit.pay(visit.checkout.asking)
    return "confirmed"


async def says_no_at_the_bank(visit: Visit) -> str:
    key = str(uuid4())
    await visit.pay(visit.checkout.asking, approves=False, key=key)
    told = await _came_to_nothing(visit, visit.checkout.asking, key)
    assert (told.status_code, told.json()["code"]) == (402, visit.checkout.refusal), told.text
    return await pays(visit)


async def walks_away_from_the_bank(visit: Visit) -> str:
    """The buyer does nothing: the payment's window closes, and the seats can be paid for again."""
    key = str(uuid4())
    answer = await visit.order(visit.checkout.asking, key)
    await visit.checkout.go(answer, visit.checkout.asking)
    told = await _came_to_nothing(visit, visit.checkout.asking, key)
    assert told.status_code in (402, 409), told.text
    return await pays(visit)


async def abandons_the_bank(visit: Visit) -> str:
    answer = await visit.order(visit.checkout.asking)
    await visit.checkout.go(answer, visit.checkout.asking)
    left = await visit.buyer.abandon(visit.booking)
    assert (left.status_code, left.json()["status"]) == (200, "held"), left.text
    return await pays(visit)


async def cancels_at_the_bank(visit: Visit) -> str:
    answer = await visit.order(visit.checkout.asking)
    await visit.checkout.go(answer, visit.checkout.asking)
    assert (await visit.buyer.cancel(visit.booking)).status_code == 200
    return "cancelled"


async def never_comes_back_and_no_webhook_comes(visit: Visit) -> str:
    await visit.platform.provider.send(visit.booking, drop=1)
    await visit.pay(visit.checkout.asking)
    return "confirmed"


async def webhooks_come_twice_late_and_in_any_order(visit: Visit) -> str:
    await visit.platform.provider.send(visit.booking, double=1, delay_seconds=2, seed=7)
    await visit.pay(visit.checkout.asking)
    await visit.buyer.ends_as(visit.booking, "confirmed", within=WITHIN)
    await visit.platform.provider.resend(visit.booking)
    return "confirmed"


async def clicks_five_times(visit: Visit) -> str:
    """The same key is the same order: one intent, one page."""
    key, card = str(uuid4()), visit.checkout.asking
    answers = await asyncio.gather(*(visit.order(card, key) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    assert len({answer.json()["next_action"]["url"] for answer in answers}) == 1
    await visit.checkout.act(visit, answers[0], card, approves=True)
    await visit.buyer.ends_as(visit.booking, "confirmed", within=WITHIN)
    assert len(await visit.platform.provider.intents(visit.booking)) == 1
    return "confirmed"


async def orders_twice(visit: Visit) -> str:
    """Another key is another order, and one payment at a time is allowed."""
    card = visit.checkout.asking
    answers = await asyncio.gather(visit.order(card), visit.order(card))
    first, second = sorted(answers, key=lambda answer: answer.status_code)
    assert (first.status_code, second.status_code) == (202, 409), (first.text, second.text)
    assert second.json()["type"].endswith("/payment-in-progress")
    await visit.checkout.act(visit, first, card, approves=True)
    return "confirmed"


def meets(kind: str, operation: str) -> Act:
    """One call on the way to the ticket goes wrong."""

    async def act(visit: Visit) -> str:
        await visit.will(kind, operation, delay_seconds=LOST_FOR)
        return await pays(visit)

    return act


def meets_on_the_way_back(kind: str) -> Act:
    """The event was called off under the buyer's feet, so that what is reserved is released; that goes wrong."""

    async def act(visit: Visit) -> str:
        await visit.platform.call_off(visit.event)
        await visit.will(kind, "cancel", delay_seconds=LOST_FOR)
        await visit.pay()
        return "failed"

    return act


@asynccontextmanager
async def _away(visit: Visit, seconds: float, *operations: str) -> AsyncIterator[None]:
    """The provider answers none of these calls, from now on until so long after."""
    for operation in operations:
        await visit.will("reset_before", operation, times=1_000_000)
    end = monotonic() + seconds

    async def comes_back() -> None:
        await eventually(lambda: monotonic() > end, within=2 * seconds + 20)
        await visit.platform.provider.clear_faults(visit.booking)

    coming = asyncio.create_task(comes_back())
    try:
        yield
    finally:
        await coming


def finds_provider_away(seconds: float, *operations: str) -> Act:
    """The provider is away. An order that came to nothing by that is ordered again."""

    async def act(visit: Visit) -> str:
        async with _away(visit, seconds, *operations):
            answer = await visit.pay()
        if answer.status_code == 409 and answer.json()["type"].endswith("/payment-too-late"):
            await visit.pay()
        return "confirmed"

    return act


async def is_refused_the_capture(visit: Visit) -> str:
    await visit.will("decline", "capture", times=9)
    await visit.pay()
    return "failed"


async def loses_what_the_bank_reserved(visit: Visit) -> str:
    """The bank takes its hold back between authorization and capture."""
    await visit.will("slow", "capture", times=3, delay_seconds=5 * LOST_FOR)
    provider = visit.platform.provider

    async def reserved() -> str | None:
        if await visit.buyer.status(visit.booking) != "paying":  # so that we know of it, too
            return None
        return next((each["id"] for each in await provider.intents(visit.booking) if each["held"]), None)

    paying = asyncio.create_task(visit.pay())
    intent = await eventually(reserved, within=WITHIN)
    assert intent
    await provider.expire(intent)
    await paying
    return "failed"


async def outlasts_the_hold(visit: Visit) -> str:
    """The hold's time is over while the buyer is at the bank: the seats are kept for who is paying."""
    expires = datetime.fromisoformat((await visit.buyer.booking(visit.booking))["expires_at"])
    answer = await visit.order(visit.checkout.asking)
    await eventually(lambda: datetime.now(UTC) > expires, within=WITHIN)
    await visit.checkout.act(visit, answer, visit.checkout.asking, approves=True)
    return "confirmed"


async def pays_late(visit: Visit) -> str:
    """The provider says yes when the booking has expired: the same seats are still free."""
    await visit.will("processing", "confirm")
    answer = await visit.pay()
    assert answer.status_code == 202, answer.text
    assert (await visit.buyer.abandon(visit.booking)).status_code == 200
    await visit.buyer.ends_as(visit.booking, "expired", within=WITHIN)
    await visit.platform.provider.settle(visit.booking)
    return "confirmed"
