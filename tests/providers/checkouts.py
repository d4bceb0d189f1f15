"""How buyers pay at each provider, so that one scenario runs at all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Protocol
from uuid import uuid4

import httpx2

from tests.buyer import CARD, Buyer
from tests.http_client import http_client
from tests.iyzico_buyer import APPROVED, authenticate, pay_with
from tests.payu_buyer import PayUBuyer
from tests.platform_client import PlatformClient


class Card(NamedTuple):
    """A card of the provider's tests.

    Attributes:
        code: What its decline is called; None where it is good.
        asks: Whether the buyer has to act at the bank.
    """

    token: str
    code: str | None = None
    asks: bool = False


class Visit(NamedTuple):
    """One buyer with one booking at one provider's checkout."""

    platform: PlatformClient
    buyer: Buyer
    event: str
    booking: str
    checkout: Checkout

    async def order(self, card: Card, key: str | None = None) -> httpx2.Response:
        """Order the payment, as often as it takes to learn what came of the order."""
        key = key or str(uuid4())
        return await self.checkout.order(self, card, key)

    async def pay(self, card: Card | None = None, *, approves: bool = True, key: str | None = None) -> httpx2.Response:
        """Order, and do at the provider whatever it asks for; the answer is the order's."""
        card = card or self.checkout.good
        answer = await self.order(card, key)
        if answer.status_code == 202 and answer.json()["next_action"]:
            await self.checkout.act(self, answer, card, approves=approves)
        return answer

    async def will(self, kind: str, operation: str, *, times: int = 1, **more: float) -> None:
        """Have the provider misbehave for this booking."""
        await self.platform.provider.will(kind, operation, self.booking, times=times, face=self.checkout.name, **more)


class Checkout(Protocol):
    """Attributes: good: a card without questions; asking: one with; declines: by what is wrong with the card;
    refusal: the code when the buyer says no at the bank."""

    name: str
    good: Card
    asking: Card
    declines: Mapping[str, Card]
    refusal: str

    async def order(self, visit: Visit, card: Card, key: str) -> httpx2.Response:
        """Order the payment once; with which card it is known only where no page asks for it."""

    async def go(self, answer: httpx2.Response, card: Card) -> None:
        """Go where the order's answer leads, and stop in front of the bank's question."""

    async def act(self, visit: Visit, answer: httpx2.Response, card: Card, *, approves: bool) -> None:
        """Go there, answer the bank if it asks, and come back to us."""


class StripeCheckout:
    name = "stripe"
    good = Card(CARD)
    asking = Card("pm_card_threeDSecure2Required", asks=True)
    refusal = "payment_intent_authentication_failure"
    declines: Mapping[str, Card] = {
        "insufficient funds": Card("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        "do not honour": Card("pm_card_visa_chargeDeclined", "generic_decline"),
        "lost card": Card("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        "stolen card": Card("pm_card_visa_chargeDeclinedStolenCard", "stolen_card"),
        "expired card": Card("pm_card_visa_chargeDeclinedExpiredCard", "expired_card"),
        "wrong security code": Card("pm_card_visa_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
        "suspected fraud": Card("pm_card_visa_chargeDeclinedFraudulent", "fraudulent"),
        "limit exceeded": Card("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded"),
        "processing error": Card("pm_card_visa_chargeDeclinedProcessingError", "processing_error"),
        "after 3-D Secure": Card("pm_card_threeDSecureRequiredChargeDeclined", "generic_decline", asks=True),
    }

    async def order(self, visit: Visit, card: Card, key: str) -> httpx2.Response:
        return await visit.buyer.pay(visit.booking, card.token, key=key)

    async def go(self, answer: httpx2.Response, card: Card) -> None:
        """The card was given with the order: only the bank is left."""

    async def act(self, visit: Visit, answer: httpx2.Response, card: Card, *, approves: bool) -> None:
        await visit.platform.provider.act(_page(answer), "approve" if approves else "fail")


class IyzicoCheckout:
    """A card that is refused may be followed by another on the same page, unless 3-D Secure has ended the visit."""

    name = "iyzico"
    good = Card(APPROVED)
    asking = Card(APPROVED, asks=True)
    refusal = "MDSTATUS_0"
    declines: Mapping[str, Card] = {
        "insufficient funds": Card("4111111111111129", "NOT_SUFFICIENT_FUNDS", asks=True),
        "do not honour": Card("4129111111111111", "DO_NOT_HONOUR", asks=True),
        "lost card": Card("4127111111111113", "LOST_CARD", asks=True),
        "stolen card": Card("4126111111111114", "STOLEN_CARD", asks=True),
        "expired card": Card("4125111111111115", "EXPIRED_CARD", asks=True),
        "wrong security code": Card("4124111111111116", "INVALID_CVC2", asks=True),
        "suspected fraud": Card("4121111111111119", "FRAUD_SUSPECT", asks=True),
        "processing error": Card("4130111111111118", "UNKNOWN", asks=True),
        "after 3-D Secure": Card("4131111111111117", "MDSTATUS_0", asks=True),
    }

    async def order(self, visit: Visit, card: Card, key: str) -> httpx2.Response:
        return await visit.buyer.pay(visit.booking, None, provider=self.name, key=key)

    async def go(self, answer: httpx2.Response, card: Card) -> None:
        await asyncio.to_thread(pay_with, _page(answer), card.token, with_3ds=card.asks)

    async def act(self, visit: Visit, answer: httpx2.Response, card: Card, *, approves: bool) -> None:
        url = _page(answer)
        page = await asyncio.to_thread(pay_with, url, card.token, with_3ds=card.asks)
        if card.asks:
            page = await asyncio.to_thread(authenticate, url, approve=approves)
        if page.back_to:
            async with http_client() as browser:
                await browser.post(page.back_to, data={"token": page.token})


class PayUCheckout:
    name = "payu"
    good = Card("approved")
    asking = Card("3ds", asks=True)
    refusal = "114"
    declines: Mapping[str, Card] = {
        "insufficient funds": Card("S51", "S51"),
        "do not honour": Card("S05", "S05"),
        "stolen card": Card("S43", "S43"),
        "expired card": Card("S54", "S54"),
        "suspected fraud": Card("SPF", "SPF"),
        "limit exceeded": Card("S61", "S61"),
        "after 3-D Secure": Card("3ds-S51", "S51", asks=True),
    }

    async def order(self, visit: Visit, card: Card, key: str) -> httpx2.Response:
        return await visit.buyer.pay(visit.booking, None, provider=self.name, key=key)

    async def go(self, answer: httpx2.Response, card: Card) -> None:
        await asyncio.to_thread(PayUBuyer(_page(answer)).pay, card.token)

    async def act(self, visit: Visit, answer: httpx2.Response, card: Card, *, approves: bool) -> None:
        page = PayUBuyer(_page(answer))
        await asyncio.to_thread(page.pay, card.token)
        if card.asks:
            await asyncio.to_thread(page.answer, "approve" if approves else "fail")
        await visit.platform.http.get(page.at)


def _page(answer: httpx2.Response) -> str:
    return str(answer.json()["next_action"]["url"])


CHECKOUTS: tuple[Checkout, ...] = (StripeCheckout(), IyzicoCheckout(), PayUCheckout())
