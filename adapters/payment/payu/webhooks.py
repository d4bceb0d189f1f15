"""PayU's notifications: proves that one comes from PayU, and says in the domain's words what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from adapters.payment.payu import PAYU
from adapters.payment.payu.signatures import HEADER, is_signed
from domain.payments import NotificationKind, NotificationRefused, ProviderNotification

KINDS = {
    "WAITING_FOR_CONFIRMATION": NotificationKind.RESERVED,
    "COMPLETED": NotificationKind.TAKEN,
    "CANCELED": NotificationKind.DECLINED,
}


class PayUWebhooks:
    """Verifies `OpenPayu-Signature` over the raw body.

    PayU signs no time, and its notifications have no ids: what happened to which order is the id.
    """

    def __init__(self, second_keys: Sequence[str]) -> None:
        """Attributes: second_keys: the point of sale's; two of them while one is being replaced."""
        self._second_keys = second_keys

    def verify(self, body: bytes, headers: Mapping[str, str]) -> list[ProviderNotification]:
        """What a notification says.

        Raises:
            NotificationRefused: PayU has not signed it.
        """
        if not is_signed(body, headers.get(HEADER.lower(), ""), self._second_keys):
            raise NotificationRefused("the signature is not right")
        return [_notification(body) or ProviderNotification.not_understood(PAYU.name, body)]


def _notification(body: bytes) -> ProviderNotification | None:
    """What a notification says; None for one that is about no order and no refund."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    match content:
        case {"orderId": str(order_id), "refund": {"refundId": str(refund_id), "status": str(status)}}:
            return ProviderNotification(
                provider=PAYU.name,
                event_id=f"{order_id}:{refund_id}:{status}",
                kind=NotificationKind.REFUND,
                type=f"refund.{status}",
                intent_id=order_id,
            )
        case {"order": {"orderId": str(order_id), "status": str(status)}}:
            return ProviderNotification(
                provider=PAYU.name,
                event_id=f"{order_id}:{status}",
                kind=KINDS.get(status, NotificationKind.OTHER),
                type=f"order.{status}",
                intent_id=order_id,
            )
        case _:
            return None
