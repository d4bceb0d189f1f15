"""The sandbox can have another amount or currency than it was asked for, and its ledger still balances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.testing import ControlError, SandboxProcess
from tests.sandbox.shop import Shop


@pytest.fixture
def balanced(sandbox: SandboxProcess) -> Iterator[None]:
    yield
    balances = sandbox.call("GET", "/_sandbox/balances")["balances"]
    for currency in {each["currency"] for each in balances}:
        assert sum(each["balance"] for each in balances if each["currency"] == currency) == 0


def alter(shop: Shop, intent: str, **change: Any) -> None:
    shop.sandbox.call("POST", f"/_sandbox/intents/{intent}/alter", change)


@pytest.mark.usefixtures("balanced")
@pytest.mark.parametrize("change", [{"amount": 4999}, {"amount": 5001}, {"currency": "usd"}, {}])
def test_an_altered_intent_is_paid_as_it_is_now(shop: Shop, change: dict[str, Any]) -> None:
    intent = shop.open()
    alter(shop, intent.id, **change)
    paid = shop.confirm(intent.id)
    assert (paid.amount_capturable, paid.currency) == (change.get("amount", 5000), change.get("currency", "eur"))
    assert shop.capture(intent.id).amount_received == change.get("amount", 5000)


@pytest.mark.usefixtures("balanced")
@pytest.mark.parametrize("amount", [4999, 5001])
def test_what_is_reserved_follows_an_altered_amount(shop: Shop, amount: int) -> None:
    intent = shop.hold()
    alter(shop, intent.id, amount=amount)
    assert shop.capture(intent.id).amount_received == amount
    assert shop.money()["held"] == 0


@pytest.mark.usefixtures("balanced")
@pytest.mark.parametrize("amount", [1500, 2500])
def test_an_altered_refund_gives_back_what_it_says(shop: Shop, amount: int) -> None:
    intent = shop.taken()
    refund = shop.refund(intent.id, 2000)
    shop.sandbox.call("POST", f"/_sandbox/refunds/{refund.id}/alter", {"amount": amount})
    assert shop.money()["refunded"] == amount
    assert shop.api.refunds.retrieve(refund.id).amount == amount


def test_what_cannot_be_altered_stays_as_it_is(shop: Shop) -> None:
    held, taken = shop.hold(), shop.taken()
    changes: list[dict[str, Any]] = [{"currency": "usd"}, {"amount": 0}, {"amount": "1"}]
    for intent, change in [(taken, {"amount": 1}), *((held, change) for change in changes)]:
        with pytest.raises(ControlError):
            alter(shop, intent.id, **change)
    with pytest.raises(ControlError):
        shop.sandbox.call("POST", "/_sandbox/refunds/re_unknown/alter", {"amount": 1})
    assert (shop.money()["authorized"], shop.money()["captured"]) == (10_000, 5000)
