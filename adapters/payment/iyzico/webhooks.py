"""iyzico's webhooks: proves that a notification comes from iyzico, and says in the domain's words what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import orjson

from adapters.payment.iyzico import IYZICO
from adapters.payment.iyzico.signatures import (
    OF_A_NOTIFICATION,
    OF_A_PAGE_S_NOTIFICATION,
    is_notification_genuine,
)
from domain.payments import NotificationKind, NotificationRefused, ProviderNotification

KINDS = {"SUCCESS": NotificationKind.RESERVED, "FAILURE": NotificationKind.DECLINED}
OF_REFUNDS = frozenset({"REFUND_RETRY_SUCCESS", "REFUND_RETRY_FAILURE"})
"""iyzico repeats a refund that a bank has not made yet, and reports its result."""

_LONGEST: Final = 16 * 1024  # bytes; anyone may send a body, and it is parsed before its signature can be checked
_READ: Final = frozenset({*OF_A_PAGE_S_NOTIFICATION, *OF_A_NOTIFICATION})


class IyzicoWebhooks:
    """Verifies `X-IYZ-SIGNATURE-V3`. iyzico signs neither a time nor its reference code, so neither is relied upon."""

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key

    def verify(self, body: bytes, headers: Mapping[str, str]) -> list[ProviderNotification]:
        """What a notification says.

        Raises:
            NotificationRefused: iyzico has not signed it. Only JSON objects can be signed, by some of their fields,
                which are texts and numbers.
        """
        notice = _read(body)
        if not is_notification_genuine(self._secret_key, notice, headers.get("x-iyz-signature-v3", "")):
            raise NotificationRefused("the signature is not right")
        type_, token, status = str(notice.get("iyziEventType")), notice.get("token"), str(notice.get("status"))
        payment = notice.get("iyziPaymentId") or notice.get("paymentId")
        return [
            ProviderNotification(
                provider=IYZICO.name,
                event_id=f"{type_}:{token}:{payment}:{status}",
                kind=NotificationKind.REFUND if type_ in OF_REFUNDS else KINDS.get(status, NotificationKind.OTHER),
                type=type_,
                intent_id=str(token) if token else None,
                booking_id=_booking(notice) if type_ in OF_REFUNDS else None,
            )
        ]


def _booking(notice: Mapping[str, Any]) -> UUID | None:
    """The payment's booking. The message has only our own key, which begins with the booking's id."""
    try:
        return UUID(str(notice.get("paymentConversationId")).partition(":")[0])
    except ValueError:
        return None


def _read(body: bytes) -> dict[str, Any]:
    if len(body) > _LONGEST:
        raise NotificationRefused("the body is too long")
    try:
        notice = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotificationRefused("the body is not JSON") from error
    if not isinstance(notice, dict):
        raise NotificationRefused("the body is no notification of iyzico's")
    if not all(isinstance(notice.get(name), str | int | None) for name in _READ):
        raise NotificationRefused("a signed field is neither text nor a number")
    return notice
