"""Faults apply to the selected calls, with exactly the documented effect."""

from __future__ import annotations

import signal
from typing import Any
from uuid import uuid4

import pytest
import stripe

from sandbox.testing import ControlError, SandboxProcess
from tests.sandbox.shop import Shop

BEFORE = ["500_before", "timeout_before", "reset_before"]
AFTER = ["500_after", "timeout_after", "reset_after"]


@pytest.mark.parametrize("kind", BEFORE)
def test_a_fault_before_the_effect_takes_nothing_and_the_key_still_works(shop: Shop, kind: str) -> None:
    held, key = shop.hold(), str(uuid4())
    shop.sandbox.fault(kind, shop.booking_id, operation="capture", delay_seconds=0.1)
    with pytest.raises(stripe.StripeError):
        shop.capture(held.id, key=key)
    assert shop.money()["captured"] == 0
    assert shop.capture(held.id, key=key).status == "succeeded"


@pytest.mark.parametrize("kind", AFTER)
def test_a_fault_after_the_effect_hides_the_capture(shop: Shop, kind: str) -> None:
    held = shop.hold()
    shop.sandbox.fault(kind, shop.booking_id, operation="capture", delay_seconds=0.1)
    with pytest.raises(stripe.StripeError):
        shop.capture(held.id)
    assert shop.money()["captured"] == 5000
    assert shop.status(held.id) == "succeeded"


@pytest.mark.parametrize("kind", ["timeout_after", "reset_after"])
def test_a_lost_answer_is_found_again_under_its_key(shop: Shop, kind: str) -> None:
    key = str(uuid4())
    shop.sandbox.fault(kind, shop.booking_id, operation="create", delay_seconds=0.1)
    with pytest.raises(stripe.APIConnectionError):
        shop.open(key=key)
    (known,) = shop.sandbox.intents(shop.booking_id)
    assert shop.open(key=key).id == known["id"]


def test_a_fault_applies_the_given_number_of_times_and_to_no_other_booking(shop: Shop, sandbox: SandboxProcess) -> None:
    other = Shop(sandbox)
    sandbox.fault("429", shop.booking_id, operation="create", times=2)
    assert other.open().status == "requires_payment_method"
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            shop.open()
    assert shop.open().status == "requires_payment_method"
    faults = [call["faults"] for call in sandbox.requests(shop.booking_id, "create")]
    assert faults == [["429"], ["429"], []]


def test_later_calls_on_an_intent_are_matched_by_its_booking(shop: Shop) -> None:
    taken = shop.taken()
    for operation in ("retrieve", "refund"):
        shop.sandbox.fault("500_before", shop.booking_id, operation=operation)
    with pytest.raises(stripe.APIError):
        shop.api.payment_intents.retrieve(taken.id)
    with pytest.raises(stripe.APIError):
        shop.refund(taken.id)


def test_a_fault_can_apply_to_a_single_intent(shop: Shop) -> None:
    struck, spared = shop.open(), shop.open()
    rule = {"kind": "decline", "operation": "confirm", "code": "lost_card", "match": {"intent_id": struck.id}}
    shop.sandbox.call("POST", "/_sandbox/faults", rule)
    assert shop.confirm(spared.id).status == "requires_capture"
    with pytest.raises(stripe.CardError) as declined:
        shop.confirm(struck.id)
    error: Any = declined.value.error
    assert error.decline_code == "lost_card"


def test_a_declined_capture_leaves_the_reservation(shop: Shop) -> None:
    held = shop.hold()
    shop.sandbox.fault("decline", shop.booking_id, operation="capture")
    with pytest.raises(stripe.CardError):
        shop.capture(held.id)
    assert shop.status(held.id) == "requires_capture"
    assert shop.capture(held.id).status == "succeeded"


def test_faults_are_listed_and_removed(shop: Shop, sandbox: SandboxProcess) -> None:
    rule = {"kind": "429", "match": {"booking_id": shop.booking_id}, "times": 3}
    number = sandbox.call("POST", "/_sandbox/faults", rule)["id"]
    listed = {fault["id"]: fault for fault in sandbox.call("GET", "/_sandbox/faults")["faults"]}
    assert (listed[number]["kind"], listed[number]["remaining"]) == ("429", 3)
    sandbox.call("DELETE", f"/_sandbox/faults/{number}")
    assert shop.open().status == "requires_payment_method"


@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.thorough), signal.SIGKILL])
def test_faults_outlive_a_restart(own_sandbox: SandboxProcess, how: signal.Signals) -> None:
    shop = Shop(own_sandbox)
    own_sandbox.fault("429", shop.booking_id, times=2)
    with pytest.raises(stripe.RateLimitError):
        shop.open()
    own_sandbox.stop(how)
    own_sandbox.start()
    with pytest.raises(stripe.RateLimitError):
        shop.open()
    assert shop.open().status == "requires_payment_method"


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({}, "kind"),
        ({"kind": "flood"}, "kind"),
        ({"kind": ["429"]}, "kind"),
        ({"kind": "decline", "code": 5}, "code"),
        ({"kind": "429", "face": "bank"}, "face"),
        ({"kind": "429", "operation": "steal"}, "operation"),
        ({"kind": "decline", "operation": "cancel"}, "operation"),
        ({"kind": "decline", "operation": "create"}, "operation"),
        ({"kind": "429", "times": 0}, "times"),
        ({"kind": "429", "chance": "often"}, "chance"),
        ({"kind": "429", "seed": -1}, "seed"),
        ({"kind": "429", "delay_seconds": "long"}, "delay_seconds"),
        ({"kind": "429", "match": {"buyer": "x"}}, "match"),
        ({"kind": "429", "colour": "blue"}, "colour"),
        ([], "JSON object"),
    ],
)
def test_a_wrong_fault_is_refused_and_the_mistake_named(sandbox: SandboxProcess, rule: object, named: str) -> None:
    with pytest.raises(ControlError) as refused:
        sandbox.call("POST", "/_sandbox/faults", rule)
    assert refused.value.status == 400
    assert named in refused.value.body["error"]["message"]
