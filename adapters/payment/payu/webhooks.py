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
        """What a notification tells.

        Raises:
            NotificationRefused: PayU has not signed it, or it is no notification.
        """
        if not is_signed(body, headers.get(HEADER.lower(), ""), self._second_keys):
            raise NotificationRefused("the signature is not right")
        try:
            told = orjson.loads(body)
            return [_of_refund(told) if "refund" in told else _of_order(told["order"])]
        except (ValueError, LookupError, TypeError) as error:
            raise NotificationRefused("the body is no notification of PayU's") from error


def _of_order(order: Mapping[str, str]) -> ProviderNotification:
    order_id, status = order["orderId"], order["status"]
    kind = KINDS.get(status, NotificationKind.OTHER)
    return ProviderNotification(
        provider=PAYU.name, event_id=f"{order_id}:{status}", kind=kind, type=f"order.{status}", intent_id=order_id
    )


def _of_refund(told: Mapping[str, Mapping[str, str]]) -> ProviderNotification:
    order_id, refund = str(told["orderId"]), told["refund"]
    return ProviderNotification(
        provider=PAYU.name,
        event_id=f"{order_id}:{refund['refundId']}:{refund['status']}",
        kind=NotificationKind.REFUND,
        type=f"refund.{refund['status']}",
        intent_id=order_id,
    )
