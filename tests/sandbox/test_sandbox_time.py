"""Keys expire after a day, holds after a week."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.idempotency import KEPT_SECONDS, Keys, SavedAnswer
from sandbox.intents import HOLD_SECONDS, Intents, State
from sandbox.ledger import Ledger
from sandbox.store import Store
from sandbox.stripe.api import IDS
from sandbox.stripe.cards import failure

ANSWER = SavedAnswer(200, b"{}", "req_1")


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("idempotency", "intents", "ledger"):
        monkeypatch.setattr(f"sandbox.{module}.time", clock)
    return clock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_a_key_is_forgotten_after_a_day_and_not_before(store: Store, clock: Clock) -> None:
    keys = Keys(store, "stripe")
    keys.save("key", "/path", "parameters", ANSWER)
    clock.now += KEPT_SECONDS - 1
    assert keys.claim("key", "/path", "parameters") == ANSWER
    clock.now += 2
    assert keys.claim("key", "/other", "parameters") is None


def test_a_hold_expires_after_a_week_and_not_before(store: Store, clock: Clock) -> None:
    ledger = Ledger(store)
    intents = Intents(store, ledger, "stripe", IDS, failure("generic_decline"))
    intent = intents.create(amount=1000, currency="eur", manual_capture=True)
    intents.authorize(intent, "pm_card_visa")
    clock.now += HOLD_SECONDS - 2
    assert found(intents, intent.id) is State.AUTHORIZED
    clock.now += 2
    assert found(intents, intent.id) is State.VOIDED
    assert {row["account"]: row["balance"] for row in ledger.balances()} == {"cardholder": 0, "held": 0}


def found(intents: Intents, intent_id: str) -> State:
    intent = intents.find(intent_id)
    assert intent is not None
    return intent.state
