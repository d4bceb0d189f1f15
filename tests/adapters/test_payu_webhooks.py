"""PayU's notifications in the domain's words; what is not PayU's or cannot be read is refused."""

from __future__ import annotations

import orjson
import pytest

from adapters.payment.payu.webhooks import PayUWebhooks
from domain.payments import NotificationKind, NotificationRefused
from sandbox.payu.messages import signature

KEY = "second-key"
REFUND = {"orderId": "O1", "refund": {"refundId": "5000000142", "status": "FINALIZED", "amount": "100"}}


def headers(body: bytes, key: str = KEY) -> dict[str, str]:
    return {"openpayu-signature": signature(body, key)}


def order(status: str) -> bytes:
    return orjson.dumps({"order": {"orderId": "O1", "extOrderId": "b:create:1", "status": status}})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("PENDING", NotificationKind.OTHER),
        ("WAITING_FOR_CONFIRMATION", NotificationKind.RESERVED),
        ("COMPLETED", NotificationKind.TAKEN),
        ("CANCELED", NotificationKind.DECLINED),
    ],
)
def test_news_of_an_order_say_what_happened_to_it(status: str, kind: NotificationKind) -> None:
    body = order(status)
    (news,) = PayUWebhooks(["the next key", KEY]).verify(body, headers(body))
    assert (news.provider, news.event_id, news.intent_id, news.kind) == ("payu", f"O1:{status}", "O1", kind)


def test_news_of_a_refund_move_no_payment() -> None:
    body = orjson.dumps(REFUND)
    (news,) = PayUWebhooks([KEY]).verify(body, headers(body))
    assert (news.event_id, news.intent_id, news.kind) == ("O1:5000000142:FINALIZED", "O1", NotificationKind.REFUND)


def test_a_forgery_is_refused() -> None:
    body = order("COMPLETED")
    for forged in (headers(body, "guessed"), headers(order("PENDING")), {}):
        with pytest.raises(NotificationRefused):
            PayUWebhooks([KEY]).verify(body, forged)
