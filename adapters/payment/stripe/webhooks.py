"""Stripe's webhooks: proves that a message comes from Stripe, and says in the domain's words what it is about."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson

from adapters.payment.stripe import STRIPE
from domain.payments import NotificationKind, NotificationRefused, ProviderNotification

KINDS = {
    "payment_intent.amount_capturable_updated": NotificationKind.RESERVED,
    "payment_intent.succeeded": NotificationKind.TAKEN,
    "payment_intent.payment_failed": NotificationKind.DECLINED,
    "charge.refunded": NotificationKind.REFUND,
    "charge.refund.updated": NotificationKind.REFUND,
    "refund.updated": NotificationKind.REFUND,
    "refund.failed": NotificationKind.REFUND_FAILED,
}


class StripeWebhooks:
    """Verifies `Stripe-Signature` over the raw body (docs.stripe.com/webhooks#verify-manually)."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Attributes: secrets: the endpoint's signing secrets; two of them while one is being replaced."""
        self._secrets = secrets

    def verify(self, body: bytes, headers: Mapping[str, str]) -> list[ProviderNotification]:
        """What a message says.

        Raises:
            NotificationRefused: None of our secrets signed it.
        """
        signed_at, signatures = _parts(headers.get("stripe-signature", ""))
        payload = f"{signed_at}.".encode() + body
        expected = [hmac.new(secret.encode(), payload, sha256).hexdigest() for secret in self._secrets]
        # Each compared with each, so that the time it takes reveals nothing.
        if not any([hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]):  # noqa: C419
            raise NotificationRefused("none of the signatures is right")
        return [_notification(body, datetime.fromtimestamp(signed_at, UTC))]


def _parts(header: str) -> tuple[int, list[str]]:
    """Time (Unix, seconds) and `v1` signatures of a header `t=…,v1=…,v1=…`; other schemes are not looked at."""
    pairs = [part.partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in pairs if name.strip() == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 11):
        raise NotificationRefused("the signature has no time")
    return int(times[0]), [value for name, value in pairs if name.strip() == "v1" and value.isascii()]


def _notification(body: bytes, signed_at: datetime) -> ProviderNotification:
    """What an event says. A kind that we do not know, such as a thin event, may have no `data`."""
    event = _mapping(_read(body))
    event_id, type_ = event.get("id"), event.get("type")
    if not (isinstance(event_id, str) and isinstance(type_, str)):
        return ProviderNotification.not_understood(STRIPE.name, body, signed_at)
    about = _mapping(_mapping(event.get("data")).get("object"))
    intent = about.get("id") if about.get("object") == "payment_intent" else about.get("payment_intent")
    return ProviderNotification(
        provider=STRIPE.name,
        event_id=event_id,
        kind=KINDS.get(type_, NotificationKind.OTHER),
        type=type_,
        intent_id=intent if isinstance(intent, str) else None,
        signed_at=signed_at,
    )


def _read(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
