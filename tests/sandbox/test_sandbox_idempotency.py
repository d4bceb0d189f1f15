"""A key gives one effect and one response, as Stripe documents; without a key each call has an effect."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import stripe

from tests.sandbox.shop import Shop

WAIT_SECONDS = 120.0


@pytest.fixture
def key() -> str:
    return f"test:{uuid4()}"


def test_the_same_key_brings_the_first_answer_again(shop: Shop, key: str) -> None:
    first, second = shop.open(key=key), shop.open(key=key)
    assert first.id == second.id
    assert len(shop.sandbox.intents(shop.booking_id)) == 1
    assert second.last_response is not None
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert [call["replayed"] for call in shop.sandbox.requests(shop.booking_id, "create")] == [False, True]


def test_without_a_key_a_repeated_refund_pays_twice(shop: Shop) -> None:
    taken = shop.taken()
    shop.refund(taken.id, 1000)
    shop.refund(taken.id, 1000)
    assert shop.money()["refunded"] == 2000


def test_a_repeated_refund_under_one_key_pays_once(shop: Shop, key: str) -> None:
    taken = shop.taken()
    assert shop.refund(taken.id, 1000, key=key).id == shop.refund(taken.id, 1000, key=key).id
    assert shop.money()["refunded"] == 1000


def test_a_replay_returns_the_saved_response_and_not_the_current_state(shop: Shop, key: str) -> None:
    held = shop.confirm(shop.open().id, key=key)
    shop.api.payment_intents.cancel(held.id)
    assert shop.confirm(held.id, key=key).status == "requires_capture"
    assert shop.status(held.id) == "canceled"


def test_a_decline_is_replayed_too(shop: Shop, key: str) -> None:
    intent = shop.open()
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            shop.confirm(intent.id, "pm_card_visa_chargeDeclined", key=key)
    assert len(shop.api.charges.list({"payment_intent": intent.id}).data) == 1


def test_a_key_cannot_be_used_for_other_parameters(shop: Shop, key: str) -> None:
    shop.open(5000, key=key)
    with pytest.raises(stripe.IdempotencyError, match="with the same parameters") as refused:
        shop.open(6000, key=key)
    assert refused.value.http_status == 400


def test_a_key_cannot_be_used_for_another_call(shop: Shop, key: str) -> None:
    held = shop.hold()
    shop.capture(held.id, key=key)
    with pytest.raises(stripe.IdempotencyError, match="for the same endpoint"):
        shop.refund(held.id, key=key)
    assert shop.money()["refunded"] == 0


def test_refused_parameters_do_not_use_the_key_up(shop: Shop, key: str) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.open(colour="blue", key=key)
    assert shop.open(key=key).status == "requires_payment_method"


def test_a_refusal_of_an_executed_call_is_kept_under_the_key(shop: Shop, key: str) -> None:
    intent = shop.open()
    with pytest.raises(stripe.InvalidRequestError):
        shop.capture(intent.id, key=key)
    shop.confirm(intent.id)
    with pytest.raises(stripe.InvalidRequestError):
        shop.capture(intent.id, key=key)
    assert shop.capture(intent.id).status == "succeeded"


def test_a_rate_limited_call_does_not_use_the_key_up(shop: Shop, key: str) -> None:
    shop.sandbox.fault("429", shop.booking_id, retry_after=3)
    with pytest.raises(stripe.RateLimitError) as limited:
        shop.open(key=key)
    assert limited.value.headers is not None
    assert limited.value.headers["Retry-After"] == "3"
    assert shop.open(key=key).status == "requires_payment_method"


def test_a_server_error_after_the_effect_is_kept_under_the_key(shop: Shop, key: str) -> None:
    intent = shop.open()
    shop.sandbox.fault("500_after", shop.booking_id, operation="confirm")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            shop.confirm(intent.id, key=key)
        assert broken.value.http_status == 500
    assert shop.status(intent.id) == "requires_capture"
    assert [call["replayed"] for call in shop.sandbox.requests(shop.booking_id, "confirm")] == [False, True]


def test_a_saved_server_error_without_effect_needs_another_key(shop: Shop, key: str) -> None:
    intent = shop.open()
    shop.sandbox.fault("500_saved", shop.booking_id, operation="confirm")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            shop.confirm(intent.id, key=key)
    assert shop.status(intent.id) == "requires_payment_method"
    assert shop.confirm(intent.id, key=f"{key}:2").status == "requires_capture"


def test_a_second_call_under_a_key_in_flight_is_a_conflict(shop: Shop, key: str) -> None:
    intent = shop.open()
    shop.sandbox.fault("slow", shop.booking_id, operation="confirm", delay_seconds=2)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(shop.confirm, intent.id, key=key) for _ in range(2)]
        outcomes = [call.exception(WAIT_SECONDS) for call in calls]
    (conflict,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(conflict, stripe.StripeError)
    error: Any = conflict.error
    assert (conflict.http_status, error.code) == (409, "idempotency_key_in_use")
    assert shop.money()["authorized"] == 5000
    assert shop.confirm(intent.id, key=key).status == "requires_capture"
