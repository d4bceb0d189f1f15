"""iyzico's signatures: how we sign calls, and how we know that answers and notifications are iyzico's.

Sources: docs.iyzico.com, pages "HMACSHA256 Auth", "Response Signature Validation" and "Webhook".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

PRICES = frozenset({"price", "paidPrice"})
OF_A_PAGE_S_NOTIFICATION = ("iyziEventType", "iyziPaymentId", "token", "paymentConversationId", "status")
OF_A_NOTIFICATION = ("iyziEventType", "paymentId", "paymentConversationId", "status")


def authorization(api_key: str, secret_key: str, random_key: str, path: str, body: str) -> str:
    """The header `Authorization` of a call to `path` (without its query) with exactly this body."""
    signature = _hmac(secret_key, random_key + path + body)
    text = f"apiKey:{api_key}&randomKey:{random_key}&signature:{signature}"
    return f"IYZWSv2 {base64.b64encode(text.encode()).decode()}"


def is_answer_genuine(secret_key: str, answer: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether `signature` of an answer is made of these of its fields, in this order."""
    expected = _hmac(secret_key, ":".join(_text(name, answer.get(name)) for name in names))
    return hmac.compare_digest(expected.encode(), str(answer.get("signature")).encode())


def is_notification_genuine(secret_key: str, notification: Mapping[str, Any], signature: str) -> bool:
    """Whether the header `X-IYZ-SIGNATURE-V3` belongs to a notification, about a hosted page or any other payment."""
    names = OF_A_PAGE_S_NOTIFICATION if "token" in notification else OF_A_NOTIFICATION
    values = "".join(str(notification.get(name, "")) for name in names)
    return hmac.compare_digest(_hmac(secret_key, secret_key + values).encode(), signature.encode())


def _text(name: str, value: Any) -> str:
    """A field as it is signed: prices lose their trailing zeros, what is not there is empty."""
    if value is None:
        return ""
    return f"{Decimal(str(value)).normalize():f}" if name in PRICES else str(value)


def _hmac(key: str, message: str) -> str:
    return hmac.new(key.encode(), message.encode(), sha256).hexdigest()
