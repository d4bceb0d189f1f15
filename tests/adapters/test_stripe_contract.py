"""Every request shape that our gateway sends is valid by Stripe's own OpenAPI description, as stripe-mock reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from uuid import UUID

import pytest

from adapters.payment.stripe.gateway import StripeGateway
from domain.money import Money
from domain.payments import Intent, PaymentRejected, ProviderRefund
from stack import Stack

BOOKING = UUID(int=1)
RETURN_URL = "https://shop.example.test/return"
PRICE = Money(amount=5000, currency="EUR")


async def both_lists(gateway: StripeGateway) -> None:
    await gateway.movements(date(2026, 11, 23), None)
    await gateway.movements(date(2026, 11, 23), "balance txn_1")
    await gateway.movements(date(2026, 11, 23), "intents pi_1")


SHAPES: dict[str, Callable[[StripeGateway], Awaitable[Intent | ProviderRefund | None]]] = {
    "create": lambda gateway: gateway.create(BOOKING, PRICE, key="booking:create:1", return_url=RETURN_URL),
    "confirm": lambda gateway: gateway.confirm("pi_1", "pm_card_visa", return_url=RETURN_URL, key="booking:confirm:1"),
    "retrieve": lambda gateway: gateway.retrieve("pi_1"),
    "capture": lambda gateway: gateway.capture("pi_1", key="booking:capture:1"),
    "void": lambda gateway: gateway.void("pi_1", key="booking:void:1"),
    "refund": lambda gateway: gateway.refund("pi_1", PRICE, key="booking:refund:1"),
    "movements": both_lists,
    "retrieve_refund": lambda gateway: gateway.retrieve_refund("pi_1", key="booking:refund:1"),
}


@pytest.fixture(scope="session")
def stripe_mock(stack: Stack) -> str:
    """The address of the stack's stripe-mock."""
    stack.up("stripe-mock")
    return stack.env["SEATWRIGHT_STRIPE_MOCK_URL"]


@pytest.fixture
async def gateway(stripe_mock: str) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway("sk_test_123", base_url=stripe_mock)
    yield gateway
    await gateway.close()


@pytest.mark.parametrize("name", SHAPES)
async def test_stripe_accepts_the_shape_of_every_request(gateway: StripeGateway, name: str) -> None:
    await SHAPES[name](gateway)  # what is of a wrong shape is refused


async def test_stripe_mock_refuses_a_request_of_a_wrong_shape(gateway: StripeGateway) -> None:
    with pytest.raises(PaymentRejected, match="validation"):
        await gateway.confirm("pi_1", "pm_card_visa", return_url=["no", "url"], key="k")  # type: ignore[arg-type]


def test_every_call_of_the_gateway_has_a_shape_here() -> None:
    methods = {name for name, value in vars(StripeGateway).items() if callable(value) and not name.startswith("_")}
    calls = methods - {"close", "keep_turn"}
    assert calls == SHAPES.keys()
