"""What a provider signed is never refused: an odd message says nothing, and can be stored."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any
from uuid import uuid4

import orjson
import pytest

from adapters.payment.iyzico.signatures import OF_A_NOTIFICATION, OF_A_PAGE_S_NOTIFICATION
from adapters.payment.iyzico.webhooks import IyzicoWebhooks
from adapters.payment.payu.webhooks import PayUWebhooks
from adapters.payment.stripe.webhooks import StripeWebhooks
from domain.payment_gateway import WebhookVerifier
from domain.payments import NotificationKind, NotificationRefused, ProviderNotification
from sandbox.payu.messages import signature as payu_signature
from tests.webhooks import signature as stripe_signature

KEY = "the-key"
Signer = Callable[[bytes], Mapping[str, str]]


def _stripe(body: bytes) -> Mapping[str, str]:
    return {"stripe-signature": stripe_signature(body, KEY)["Stripe-Signature"]}


def _payu(body: bytes) -> Mapping[str, str]:
    return {"openpayu-signature": payu_signature(body, KEY)}


def _iyzico(body: bytes) -> Mapping[str, str]:
    """iyzico signs some fields of a message; those that it does not have are empty."""
    notice = orjson.loads(body)
    names = OF_A_PAGE_S_NOTIFICATION if "token" in notice else OF_A_NOTIFICATION
    signed = KEY + "".join(str(notice.get(name, "")) for name in names)
    return {"x-iyz-signature-v3": hmac.new(KEY.encode(), signed.encode(), sha256).hexdigest()}


PROVIDERS: dict[str, tuple[WebhookVerifier, Signer]] = {
    "stripe": (StripeWebhooks([KEY]), _stripe),
    "payu": (PayUWebhooks([KEY]), _payu),
    "iyzico": (IyzicoWebhooks(KEY), _iyzico),
}
NOT_JSON = (b"", b"{", b"order=1", b"\xff\xfe", b"[" * 5_000)
NOT_OURS: tuple[Any, ...] = (
    None,
    7,
    "text",
    [],
    [{}],
    {},
    {"id": 1, "type": "x"},
    {"id": "e", "type": None},
    {"id": "e", "type": "payment_intent.succeeded"},
    {"id": "e", "type": "payment_intent.succeeded", "data": None},
    {"id": "e", "type": "payment_intent.succeeded", "data": []},
    {"id": "e", "type": "payment_intent.succeeded", "data": {"object": None}},
    {"id": "e", "type": "charge.refunded", "data": {"object": {"payment_intent": {"id": "pi_1"}}}},
    {"id": "e", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found", "related_object": {"id": "m"}},
    {"order": None},
    {"order": {}},
    {"order": {"orderId": 1, "status": "COMPLETED"}},
    {"orderId": "O1", "refund": {}},
    {"orderId": None, "refund": {"refundId": "1", "status": "FINALIZED"}},
    {"refund": "all"},
)


def verified(provider: str, body: bytes) -> ProviderNotification:
    verifier, sign = PROVIDERS[provider]
    [notification] = verifier.verify(body, sign(body))
    return notification


@pytest.mark.parametrize("provider", ["stripe", "payu"])
@pytest.mark.parametrize("body", NOT_JSON)
def test_a_signed_body_that_is_no_json_is_stored_by_its_digest(provider: str, body: bytes) -> None:
    first, second = verified(provider, body), verified(provider, body)
    assert first.event_id == second.event_id
    assert first.event_id.startswith("sha256:")
    assert (first.intent_id, first.booking_id, first.kind) == (None, None, NotificationKind.OTHER)


# iyzico signs fields: a body without any cannot be signed.
CASES = [(name, each) for name in PROVIDERS for each in NOT_OURS if name != "iyzico" or isinstance(each, dict)]


@pytest.mark.parametrize(("provider", "content"), CASES, ids=str)
def test_a_signed_message_that_is_not_understood_names_no_payment(provider: str, content: Any) -> None:
    found = verified(provider, orjson.dumps(content))
    assert (found.intent_id, found.booking_id) == (None, None)
    assert found.event_id


STRANGE = ("a\0b", "\0", "x" * 200_000, "\u00e9" * 200)
MOST_OF_IYZICO = 16 * 1024  # bytes: they are parsed before they are proved


def _messages(text: str) -> dict[str, list[dict[str, Any]]]:
    """Messages with a text in each of their ids and types."""
    event = {"id": "e", "type": "t", "data": {"object": {"object": "payment_intent", "id": "pi_1"}}}
    order, refund = {"orderId": "O1", "status": "COMPLETED"}, {"refundId": "1", "status": "FINALIZED"}
    notice = {"iyziEventType": "REFUND_RETRY_SUCCESS", "token": "t", "paymentConversationId": "c", "status": "SUCCESS"}
    return {
        "stripe": [
            event | {"id": text},
            event | {"type": text},
            event | {"data": {"object": {"object": "payment_intent", "id": text}}},
            event | {"data": {"object": {"object": text, "payment_intent": text}}},
        ],
        "payu": [
            *({"order": order | {field: text}} for field in order),
            *({"orderId": "O1", "refund": refund | {field: text}} for field in refund),
            {"orderId": text, "refund": refund},
        ],
        "iyzico": [notice | {field: text} for field in (*notice, "iyziPaymentId", "paymentId")],
    }


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("text", STRANGE, ids=["U+0000 inside", "U+0000", "200 KB", "beyond ASCII"])
def test_every_text_of_a_signed_message_can_be_stored(provider: str, text: str) -> None:
    if provider == "iyzico":
        text = text[: MOST_OF_IYZICO - 1024]
    for content in _messages(text)[provider]:
        found = verified(provider, orjson.dumps(content))
        for stored in (found.event_id, found.type, found.intent_id or ""):
            assert "\0" not in stored
            assert len(stored.encode()) <= 255


def test_different_strange_ids_stay_different() -> None:
    ids = [{"id": text, "type": "t"} for text in ("a\0b", "a\0c", "x" * 300, "x" * 301)]
    assert len({verified("stripe", orjson.dumps(each)).event_id for each in ids}) == 4


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_odd_message_without_the_right_signature_is_refused(provider: str) -> None:
    verifier, sign = PROVIDERS[provider]
    body, other = orjson.dumps({"id": str(uuid4()), "status": "1"}), orjson.dumps({"id": "2", "status": "2"})
    for forged in (sign(other), {}, {"stripe-signature": f"t={int(time.time())},v1=00"}):
        with pytest.raises(NotificationRefused):
            verifier.verify(body, forged)


COSTLY = {
    "a thousand arrays": b"[" * 1000 + b"]" * 1000,
    "an object": b"{}",
    "a fraction": b"1.5",
    "half a megabyte": b"[" + b"{}," * 170_000 + b"{}]",
    "a long text": b'"' + b"x" * MOST_OF_IYZICO + b'"',
}


@pytest.mark.parametrize("value", COSTLY.values(), ids=COSTLY)
@pytest.mark.parametrize("name", [*OF_A_PAGE_S_NOTIFICATION, "paymentId"])
def test_what_iyzico_cannot_have_signed_is_refused_before_it_is_written_out(value: bytes, name: str) -> None:
    body = b'{"%s":%s}' % (name.encode(), value)
    with pytest.raises(NotificationRefused, match=r"too long|neither text nor a number"):
        IyzicoWebhooks(KEY).verify(body, {"x-iyz-signature-v3": "0" * 64})
