"""Gives back what is left of a captured payment, once under a key; a key that brought no refund is not used again."""

from __future__ import annotations

from activities.payment.amounts import alarm
from db.payment.attempts import Attempt
from domain.money import Money
from domain.payment_gateway import PaymentGateway
from domain.payments import (
    Intent,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
)


class RefundRefused(PaymentUnknown):
    """The provider has refused the refund under this key, which is spent by that."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the refund was refused: {why}", replayed=True)


async def refund_rest(gateway: PaymentGateway, intent: Intent, attempt: Attempt, *, key: str) -> ProviderRefund | None:
    """Refund the captured money that is left, once under this key; returns the refund, or None if nothing was left.

    Raises:
        PaymentUnknown: The outcome is unknown.
        RefundRefused: There is no refund under this key, and there will be none.
        ApplicationError: The refund has succeeded, and the provider keeps a part of the money all the same.
    """
    given = await gateway.retrieve_refund(intent.id, key=key)
    # In the currency that was taken, which may not be the one that was owed.
    currency = intent.amount.currency if intent.amount else attempt.amount.currency
    rest = Money(amount=intent.captured - intent.refunded, currency=currency)
    if given is None and rest.amount:
        given = await _refund(gateway, intent.id, rest, key)
    if given and given.state is ProviderRefundState.SUCCEEDED:
        now = await gateway.retrieve(intent.id)
        if now.captured != now.refunded:
            raise alarm(attempt, now, "refund")
    return given


async def _refund(gateway: PaymentGateway, intent_id: str, amount: Money, key: str) -> ProviderRefund | None:
    refused: PaymentRejected | PaymentDeclined | None = None
    try:
        await gateway.refund(intent_id, amount, key=key)
    except (PaymentRejected, PaymentDeclined) as error:
        refused = error
    given = await gateway.retrieve_refund(intent_id, key=key)
    if refused and given is None:
        # Something else was refunded since the intent was read. The provider repeats the refusal under this key.
        raise RefundRefused(f"{refused.code}: {refused}") from refused
    return given
