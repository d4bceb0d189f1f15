"""The steps of one payment at its provider: a booking's, or the difference that an exchange costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import Authorization, AuthorizationResult, Authorize, OfExchange, PaymentActivities
    from domain.bookings import PaymentCommand
    from domain.exchanges import Payment
    from domain.money import Money
    from workflows.support.polling import FIRST_PAUSE, Notification, doubling
    from workflows.support.steps import provider_step

_LONGEST_PAUSE: Final = timedelta(minutes=1)


class PaymentSteps:
    """Each step ends with an answer that is certain, or raises FailureError when it has been tried often enough."""

    def __init__(
        self, booking_id: UUID, max_tries: int, *, exchange_id: UUID | None = None, locally: bool = False
    ) -> None:
        """The payment of a booking, or of one of its exchanges.

        Args:
            booking_id: Which booking.
            max_tries: How often a step is tried.
            exchange_id: Which exchange.
            locally: Authorize and capture in the saga's own worker; else where the payment service's workers are.
        """
        self._booking_id = booking_id
        self._exchange = OfExchange(booking_id=booking_id, exchange_id=exchange_id) if exchange_id else None
        self._max_tries = max_tries
        self._locally = locally

    async def authorize(self, amount: Money, payment: Payment | PaymentCommand, deadline: datetime) -> Authorization:
        """Reserve the money, or find out what became of the last try.

        Args:
            amount: How much.
            payment: How the buyer pays.
            deadline: Until when (UTC, the database's clock) a charge may be started.
        """
        request = Authorize(
            booking_id=self._booking_id,
            exchange_id=self._exchange.exchange_id if self._exchange else None,
            amount=amount,
            provider=payment.provider,
            payment_method=payment.payment_method,
            return_url=payment.return_url,
            deadline=deadline,
        )
        summary = f"authorize at {payment.provider}"
        return await provider_step(
            PaymentActivities.authorize, request, summary, self._max_tries, locally=self._locally
        )

    async def capture(self) -> str | None:
        """Take the reserved money, or answer the provider's code for why not."""
        if self._exchange:
            return await provider_step(
                PaymentActivities.capture_difference, self._exchange, "capture the difference", self._max_tries
            )
        return await provider_step(
            PaymentActivities.capture, self._booking_id, "capture the money", self._max_tries, locally=self._locally
        )

    async def return_money(self) -> None:
        """Void or refund until nothing of the buyer's is kept."""
        if self._exchange:
            activity = PaymentActivities.return_difference
            return await provider_step(activity, self._exchange, "void or refund", self._max_tries)
        return await provider_step(PaymentActivities.return_money, self._booking_id, "void or refund", self._max_tries)


async def wait_for_buyer(
    ask: Callable[[], Awaitable[Authorization]],
    notification: Notification,
    window: timedelta,
    gives_up: Callable[[], bool],
) -> Authorization | None:
    """Wait while the buyer acts at the provider (3-D Secure).

    The provider is asked after 2, 4, 8 … 60 seconds, at each of its notifications, and when the window closes.

    Args:
        ask: Asks what became of the authorization.
        notification: The provider's.
        window: How long the buyer may take.
        gives_up: Whether the buyer gives up.

    Returns:
        What the provider has decided; None where the buyer gave up, or it is undecided when the window closes.
    """
    until = workflow.now() + window
    for pause in doubling(FIRST_PAUSE, _LONGEST_PAUSE):
        await notification.wait(min(pause, until - workflow.now()), unless=gives_up)
        is_last = workflow.now() >= until
        if gives_up():
            return None
        authorization = await ask()
        if authorization.result is not AuthorizationResult.ACTION_REQUIRED:
            return authorization
        if is_last:
            return None
    return None
