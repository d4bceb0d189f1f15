"""The operations that the Stripe API allows and refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import stripe

from tests.sandbox.shop import Shop

NOTHING = {"authorized": 0, "captured": 0, "released": 0, "refunded": 0, "held": 0}

DECLINES = [
    ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
    ("pm_card_visa_chargeDeclinedFraudulent", "card_declined", "fraudulent"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
]


def test_an_intent_without_a_card_moves_no_money(shop: Shop) -> None:
    assert shop.open().status == "requires_payment_method"
    assert shop.open(payment_method="pm_card_visa").status == "requires_confirmation"
    assert shop.money() == NOTHING


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_mastercard", "pm_card_amex"])
def test_a_good_card_reserves_the_amount_without_taking_it(shop: Shop, method: str) -> None:
    held = shop.confirm(shop.open().id, method)
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 5000, 0)
    assert shop.money() == {**NOTHING, "authorized": 5000, "held": 5000}


def test_a_capture_takes_the_reserved_amount(shop: Shop) -> None:
    taken = shop.capture(shop.hold().id)
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 5000, 0)
    assert shop.money() == {**NOTHING, "authorized": 5000, "captured": 5000}


def test_a_partial_capture_returns_the_rest_to_the_buyer(shop: Shop) -> None:
    taken = shop.capture(shop.hold().id, 3000)
    charge = shop.api.charges.retrieve(str(taken.latest_charge))
    assert (charge.amount_captured, charge.amount_refunded) == (3000, 2000)
    assert shop.money() == {**NOTHING, "authorized": 5000, "captured": 3000, "released": 2000}


def test_no_more_can_be_captured_than_was_reserved(shop: Shop) -> None:
    held = shop.hold()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.capture(held.id, 5001)
    assert refused.value.code == "amount_too_large"
    assert shop.status(held.id) == "requires_capture"


def test_automatic_capture_takes_the_money_at_once(shop: Shop) -> None:
    assert shop.hold(capture_method="automatic").status == "succeeded"
    assert shop.money() == {**NOTHING, "authorized": 5000, "captured": 5000}


def test_a_void_releases_the_reservation(shop: Shop) -> None:
    held = shop.hold()
    voided = shop.api.payment_intents.cancel(held.id, {"cancellation_reason": "abandoned"})
    assert (voided.status, voided.cancellation_reason) == ("canceled", "abandoned")
    assert shop.money() == {**NOTHING, "authorized": 5000, "released": 5000}


def test_partial_refunds_never_exceed_the_captured_amount(shop: Shop) -> None:
    taken = shop.taken()
    shop.refund(taken.id, 2000)
    with pytest.raises(stripe.InvalidRequestError, match=r"€30.01.* unrefunded amount .*€30.00"):
        shop.refund(taken.id, 3001)
    shop.refund(taken.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.refund(taken.id)
    assert refused.value.code == "charge_already_refunded"
    assert shop.money() == {**NOTHING, "authorized": 5000, "captured": 5000, "refunded": 5000}


def test_uncaptured_money_cannot_be_refunded(shop: Shop) -> None:
    held = shop.hold()
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge to refund"):
        shop.refund(held.id)


@pytest.mark.parametrize(("method", "code", "decline_code"), DECLINES)
def test_a_declined_card_leaves_nothing_reserved(shop: Shop, method: str, code: str, decline_code: str) -> None:
    intent = shop.open()
    with pytest.raises(stripe.CardError) as declined:
        shop.confirm(intent.id, method)
    error: Any = declined.value.error
    assert (declined.value.http_status, error.code, error.decline_code) == (402, code, decline_code)
    after = shop.api.payment_intents.retrieve(intent.id)
    last_error: Any = after.last_payment_error
    assert (after.status, last_error.decline_code) == ("requires_payment_method", decline_code)
    assert shop.money() == NOTHING


def test_another_card_may_be_tried_after_a_decline(shop: Shop) -> None:
    intent = shop.open()
    with pytest.raises(stripe.CardError):
        shop.confirm(intent.id, "pm_card_visa_chargeDeclined")
    assert shop.confirm(intent.id).status == "requires_capture"
    charges = shop.api.charges.list({"payment_intent": intent.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


def test_each_step_is_refused_in_the_wrong_state(shop: Shop) -> None:
    taken, voided = shop.taken(), shop.api.payment_intents.cancel(shop.hold().id)
    wrong: list[Callable[[], object]] = [
        lambda: shop.capture(taken.id),
        lambda: shop.capture(voided.id),
        lambda: shop.capture(shop.open().id),
        lambda: shop.api.payment_intents.cancel(taken.id),
        lambda: shop.api.payment_intents.cancel(voided.id),
        lambda: shop.confirm(taken.id),
        lambda: shop.confirm(voided.id),
        lambda: shop.api.payment_intents.confirm(shop.open().id),
    ]
    for step in wrong:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            step()
        assert (refused.value.http_status, refused.value.code) == (400, "payment_intent_unexpected_state")


def test_a_hold_lapses_and_then_cannot_be_captured(shop: Shop) -> None:
    held = shop.hold()
    shop.sandbox.call("POST", f"/_sandbox/intents/{held.id}/expire")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.capture(held.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    after = shop.api.payment_intents.retrieve(held.id)
    assert (after.status, after.cancellation_reason) == ("canceled", "automatic")
    assert shop.money() == {**NOTHING, "authorized": 5000, "released": 5000}


@pytest.mark.parametrize(
    ("outcome", "status"), [("approved", "requires_capture"), ("declined", "requires_payment_method")]
)
def test_a_payment_may_be_decided_later(shop: Shop, outcome: str, status: str) -> None:
    intent = shop.open()
    shop.sandbox.fault("processing", shop.booking_id)
    assert shop.confirm(intent.id).status == "processing"
    shop.sandbox.call("POST", f"/_sandbox/intents/{intent.id}/settle", {"outcome": outcome})
    assert shop.status(intent.id) == status


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": -1}, "parameter_invalid_integer", "amount"),
        ({"amount": "ten"}, "parameter_invalid_integer", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": 1001, "currency": "kwd"}, "parameter_invalid_integer", "amount"),
        ({"currency": "xyz"}, None, "currency"),
        ({"capture_method": "never"}, None, "capture_method"),
        ({"colour": "blue"}, "parameter_unknown", "colour"),
        ({"payment_method": "pm_nobody"}, "resource_missing", "payment_method"),
        ({"metadata": {"note": "x" * 501}}, None, "metadata[note]"),
    ],
)
def test_a_malformed_intent_is_refused(shop: Shop, given: dict[str, Any], code: str | None, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.open(**given)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)


def test_a_missing_or_unknown_parameter_is_named(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.payment_intents.create({"currency": "eur"})  # type: ignore[typeddict-item]
    assert (refused.value.code, refused.value.param) == ("parameter_missing", "amount")
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        shop.api.payment_intents.retrieve("pi_nobody")
    assert (unknown.value.http_status, unknown.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        shop.api.customers.list()


def test_payment_methods_with_redirects_need_a_return_address(shop: Shop) -> None:
    intent = shop.api.payment_intents.create({"amount": 5000, "currency": "eur"})
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        shop.confirm(intent.id)


def test_the_list_is_paged_with_the_newest_first(shop: Shop) -> None:
    made = [shop.open().id for _ in range(5)]
    since = shop.api.payment_intents.retrieve(made[0]).created
    pages = shop.api.payment_intents.list({"limit": 2, "created": {"gte": since}})
    listed = [intent.id for intent in pages.auto_paging_iter() if intent.id in made]
    assert pages.has_more
    assert listed == made[::-1]


def test_refunds_are_listed_and_found(shop: Shop) -> None:
    taken = shop.taken()
    first, second = shop.refund(taken.id, 100), shop.refund(taken.id, 200)
    listed = shop.api.refunds.list({"payment_intent": taken.id}).data
    assert [refund.id for refund in listed] == [second.id, first.id]
    found = shop.api.refunds.retrieve(first.id, {"expand": ["payment_intent.latest_charge"]})
    intent: Any = found.payment_intent
    assert intent.latest_charge.amount_refunded == 300


@pytest.mark.parametrize("key", ["sk_live_abc", "pk_test_abc", "nonsense"])
def test_only_a_secret_test_key_opens_the_door(shop: Shop, key: str) -> None:
    stranger = stripe.StripeClient(key, base_addresses={"api": shop.sandbox.url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
        stranger.v1.payment_intents.list()


def test_basic_authentication_works_and_none_does_not(shop: Shop) -> None:
    url = f"{shop.sandbox.url}/v1/payment_intents"
    basic = base64.b64encode(b"sk_test_curl:").decode()
    with urlopen(Request(url, headers={"Authorization": f"Basic {basic}"}), timeout=60) as answer:
        assert answer.headers["Request-Id"].startswith("req_")
    with pytest.raises(HTTPError) as refused:
        urlopen(url, timeout=60)
    assert refused.value.code == 401
    assert json.load(refused.value)["error"]["type"] == "invalid_request_error"
