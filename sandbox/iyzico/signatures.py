"""iyzico's signatures: of requests (IYZWSv2), of responses, and of notifications (X-IYZ-SIGNATURE-V3).

Sources: docs.iyzico.com, pages "HMACSHA256 Auth", "Response Signature Validation" and "Webhook".
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

from sandbox.iyzico.errors import no_credentials, wrong_signature

SCHEME = "IYZWSv2 "
MERCHANTS = {"sandbox-api-key": "sandbox-secret-key"}
"""The accounts of the sandbox: API key and secret key."""


def authenticate(header: str, random_header: str | None, path: str, body: bytes) -> str:
    """Verify the signature of a call; returns the merchant's secret key. `path` is without its query.

    Raises:
        ApiError: 1001 when there is no such merchant, 1000 when the signature is another.
    """
    given = _parts(header)
    secret = MERCHANTS.get(given.get("apiKey", ""))
    if secret is None:
        raise no_credentials()
    random = given.get("randomKey", "")
    if random_header not in (None, random):
        raise wrong_signature()
    expected = _hex(secret, random.encode() + path.encode() + body)
    if not hmac.compare_digest(expected, given.get("signature", "")):
        raise wrong_signature()
    return secret


def sign(secret: str, values: Sequence[Any]) -> str:
    """The signature of a response: its values joined by colons, prices without trailing zeros."""
    return _hex(secret, ":".join(_text(value) for value in values).encode())


def sign_notification(secret: str, notice: dict[str, Any]) -> str:
    """The header X-IYZ-SIGNATURE-V3 of a notification about a hosted page, or about any other payment."""
    about = ("iyziPaymentId", "token") if "token" in notice else ("paymentId",)
    names = ("iyziEventType", *about, "paymentConversationId", "status")
    return _hex(secret, (secret + "".join(str(notice[name]) for name in names)).encode())


def _parts(header: str) -> dict[str, str]:
    if not header.startswith(SCHEME):
        return {}
    try:
        text = base64.b64decode(header.removeprefix(SCHEME), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {name: value for name, _, value in (part.partition(":") for part in text.split("&"))}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{Decimal(str(value)).normalize():f}" if isinstance(value, float) else str(value)


def _hex(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, sha256).hexdigest()
