"""iyzico's signatures, ours and the sandbox's, against vectors that iyzico has published."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from adapters.payment.iyzico.signatures import authorization, is_answer_genuine, is_notification_genuine
from adapters.payment.iyzico.webhooks import IyzicoWebhooks
from domain.payments import NotificationKind, NotificationRefused
from sandbox.iyzico.errors import ApiError
from sandbox.iyzico.signatures import authenticate, sign, sign_notification

# github.com/iyzico/iyzipay-node, test/unit/UtilsTest.js: the JSON body is the string "body"
NODE_SDK = (
    "IYZWSv2 YXBpS2V5OmFwaV9rZXkmcmFuZG9tS2V5OnJhbmRvbV9zdHJpbmcmc2lnbmF0dXJlOjAxNzUwODkyMWEyOWVlNTYwMWJjZDFmYmU4M2Vm"
    "ZDJlMmJlNDNhZjAyZWNlZmYzMGNmMmU5MWE1MzlhYWIzNTU="
)
# github.com/iyzico/iyzipay-java, src/test/java/com/iyzipay/IyziAuthV2GeneratorTest.java
JAVA_SDK = (
    "IYZWSv2 YXBpS2V5OmFwaUtleSZyYW5kb21LZXk6cmFuZG9tJnNpZ25hdHVyZTphOTBlYzFhZWNkNjhlMzdjYzMwOTQyZjg1Y2U2YjBkNTM0MzVh"
    "NGNhNDVlMDQ3NjliNDZlM2MzNWQ4MWJmNmZl"
)
# docs.iyzico.com, page "Response Signature Validation"
ANSWER_SECRET = "sandbox-qaIiLIxhjMgx3LSKIVvp6j17NunHOFtD"
ANSWER_NAMES = ("paymentId", "currency", "basketId", "conversationId", "paidPrice", "price")
ANSWER = {
    "paymentId": "22416032",
    "currency": "TRY",
    "basketId": "basketId",
    "conversationId": "conversationId",
    "paidPrice": 10.5,
    "price": 10.5,
    "signature": "836c3a6c8db86c81043f2ca74edb13518b54a813f454f8dd762f0dd658610173",
}
# docs.iyzico.com, page "Webhook", and github.com/iyzico/iyzipay-php, samples/webhook_Signature_Validation.php
NOTICE_SECRET = "sandbox-UuLnD7wZa0a3DmytfIrwHQqAMfqCNJrs"
NOTICE_SIGNATURE = "4031c575763486a2d2bf3f7ace0baebfcd6bed65393ab4df3fe80c00d5fd6878"
NOTICE = {
    "paymentConversationId": "conversationId",
    "merchantId": 3382172,
    "token": "e828c62d-fd12-4b1a-ad5a-380f15fe6596",
    "status": "SUCCESS",
    "iyziReferenceCode": "77e1635c-6b39-475a-8b7b-ca15ad0cd4ac",
    "iyziEventType": "CHECKOUT_FORM_AUTH",
    "iyziEventTime": 1721825036103,
    "iyziPaymentId": 22483975,
}
# the same for a payment without a hosted page
DIRECT_SIGNATURE = "92c7a72b7741bc83eb696066605c894778c87297b2c88d6037670666230e18ae"
DIRECT_NOTICE = {
    "paymentConversationId": "conversationId",
    "merchantId": 3382172,
    "paymentId": 22484059,
    "status": "SUCCESS",
    "iyziReferenceCode": "a9af8e6b-4401-4928-b6b8-40419aaa3d0f",
    "iyziEventType": "API_AUTH",
    "iyziEventTime": 1721825828467,
    "iyziPaymentId": 22484059,
}


def test_a_call_is_signed_as_iyzico_s_own_sdks_sign_it() -> None:
    assert authorization("api_key", "secret_key", "random_string", "uri", json.dumps("body")) == NODE_SDK
    assert authorization("apiKey", "secretKey", "random", "/v2/uri", '"[data\\u003dvalue]"') == JAVA_SDK


def test_the_sandbox_takes_a_call_that_is_signed_so() -> None:
    header = authorization("sandbox-api-key", "sandbox-secret-key", "1", "/payment/detail", "{}")
    assert authenticate(header, "1", "/payment/detail", b"{}") == "sandbox-secret-key"
    for path, body, random in (("/payment/cancel", b"{}", "1"), ("/payment/detail", b"{ }", "1")):
        with pytest.raises(ApiError, match="Invalid signature"):
            authenticate(header, random, path, body)


@pytest.mark.parametrize("price", [10.5, Decimal("10.50"), "10.500"])
def test_an_answer_of_iyzico_s_is_believed_however_it_writes_its_prices(price: Any) -> None:
    assert is_answer_genuine(ANSWER_SECRET, ANSWER | {"paidPrice": price}, ANSWER_NAMES)


@pytest.mark.parametrize("change", [{"paidPrice": 10.6}, {"paymentId": "22416033"}, {"signature": None}])
def test_an_answer_that_was_changed_is_not_believed(change: dict[str, Any]) -> None:
    assert not is_answer_genuine(ANSWER_SECRET, ANSWER | change, ANSWER_NAMES)


@pytest.mark.parametrize(
    ("written", "signed"),
    [("10", "10"), ("10.0", "10"), ("10.50", "10.5"), ("10.5105", "10.5105"), ("1000", "1000"), ("0.10", "0.1")],
)
def test_prices_are_signed_without_trailing_zeros(written: str, signed: str) -> None:
    expected = sign("secret", [signed])
    assert is_answer_genuine("secret", {"price": Decimal(written), "signature": expected}, ("price",))


def test_the_sandbox_signs_answers_and_notifications_as_iyzico_does() -> None:
    assert sign(ANSWER_SECRET, [ANSWER[name] for name in ANSWER_NAMES]) == ANSWER["signature"]
    assert sign_notification(NOTICE_SECRET, NOTICE) == NOTICE_SIGNATURE


def test_a_notification_of_iyzico_s_is_believed_and_a_changed_one_is_not() -> None:
    assert is_notification_genuine(NOTICE_SECRET, NOTICE, NOTICE_SIGNATURE)
    assert not is_notification_genuine(NOTICE_SECRET, NOTICE | {"status": "FAILURE"}, NOTICE_SIGNATURE)
    assert not is_notification_genuine(NOTICE_SECRET, NOTICE, "")
    assert is_notification_genuine(NOTICE_SECRET, DIRECT_NOTICE, DIRECT_SIGNATURE)


def test_a_notification_tells_the_form_and_whether_money_is_reserved() -> None:
    webhooks = IyzicoWebhooks(NOTICE_SECRET)
    [news] = webhooks.verify(json.dumps(NOTICE).encode(), {"x-iyz-signature-v3": NOTICE_SIGNATURE})
    assert (news.provider, news.intent_id, news.kind) == ("iyzico", NOTICE["token"], NotificationKind.RESERVED)
    [other] = webhooks.verify(json.dumps(DIRECT_NOTICE).encode(), {"x-iyz-signature-v3": DIRECT_SIGNATURE})
    assert other.intent_id is None


def test_a_notification_under_another_reference_is_the_same_as_it_is_not_signed() -> None:
    webhooks, headers = IyzicoWebhooks(NOTICE_SECRET), {"x-iyz-signature-v3": NOTICE_SIGNATURE}
    notices = [NOTICE, NOTICE | {"iyziReferenceCode": "another", "iyziEventTime": 1}]
    ids = {webhooks.verify(json.dumps(notice).encode(), headers)[0].event_id for notice in notices}
    assert len(ids) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{", json.dumps(NOTICE | {"status": "FAILURE"}).encode()])
def test_what_iyzico_has_not_signed_is_refused(body: bytes) -> None:
    with pytest.raises(NotificationRefused):
        IyzicoWebhooks(NOTICE_SECRET).verify(body, {"x-iyz-signature-v3": NOTICE_SIGNATURE})


@pytest.mark.parametrize(
    ("reference", "booking"),
    [("0198c2f4-0000-8000-8000-000000000001:create:1", UUID("0198c2f4-0000-8000-8000-000000000001")), ("a-cart", None)],
)
def test_a_notification_of_a_refund_names_the_booking_that_it_is_about_by_our_own_key(
    reference: str, booking: UUID | None
) -> None:
    notice = DIRECT_NOTICE | {"iyziEventType": "REFUND_RETRY_SUCCESS", "paymentConversationId": reference}
    headers = {"x-iyz-signature-v3": sign_notification(NOTICE_SECRET, notice)}
    [news] = IyzicoWebhooks(NOTICE_SECRET).verify(json.dumps(notice).encode(), headers)
    assert (news.kind, news.intent_id, news.booking_id) == (NotificationKind.REFUND, None, booking)
