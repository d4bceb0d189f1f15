"""The steps of one payment at its provider: a booking's, or the difference that an exchange costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.payment.amounts import AMOUNT_DIFFERS
    from activities.payment.payments import Authorization, AuthorizationResult, Authorize, OfExchange, PaymentActivities
    from domain.bookings import PaymentCommand
    from domain.exchanges import Payment
    from domain.money import Money
    from domain.payments import LatePayment
    from temporal.saga import Aborted
    from workflows.support import problems
    from workflows.support.operator_gate import done_by_hand, once_known
    from workflows.support.polling import FIRST_PAUSE, Notification, doubling
    from workflows.support.steps import failed_as, provider_step

_LONGEST_PAUSE: Final = timedelta(minutes=1)


class PaymentSteps:
    """Each step ends with an answer that is certain."""

    def __init__(
        self, booking_id: UUID, max_attempts: int, *, exchange_id: UUID | None = None, locally: bool = False
    ) -> None:
        """The payment of a booking, or of one of its exchanges.

        Args:
            booking_id: Which booking.
            max_attempts: Attempts of a step, with the first one.
            exchange_id: Which exchange.
            locally: Authorize and capture in the saga's own worker; else where the payment service's workers are.
        """
        self._booking_id = booking_id
        self._exchange = OfExchange(booking_id=booking_id, exchange_id=exchange_id) if exchange_id else None
        self._max_attempts = max_attempts
        self._locally = locally
        self._report_difference: Callable[[], Awaitable[None]] = done_by_hand  # there is none
        self._unreachable = problems.EXCHANGE_UNREACHABLE if exchange_id else problems.PROVIDER_UNREACHABLE

    async def authorize(
        self,
        amount: Money,
        payment: Payment | PaymentCommand,
        deadline: datetime,
        *,
        window: timedelta,
        notification: Notification,
        require_action: Callable[[str | None], Awaitable[None]],
        gives_up: Callable[[], bool],
    ) -> Authorization:
        """Reserve the money; where the buyer has to act at the provider (3-D Secure), wait for that.

        Then the provider is asked after 2, 4, 8 … 60 seconds, at each of its notifications, and when the window closes.

        Args:
            amount: How much.
            payment: How the buyer pays.
            deadline: Until when (UTC, the database's clock) a charge may be started.
            window: How long the buyer may take.
            notification: The provider's.
            require_action: Sends the buyer to an address; None where the provider has not decided and needs no buyer.
            gives_up: Whether the buyer gives up.

        Returns:
            ACTION_REQUIRED only where the buyer gave up, or the window closed.

        Raises:
            Aborted: The provider could not be reached, or it is paid another amount or currency than is owed.
        """
        request = Authorize(
            booking_id=self._booking_id,
            exchange_id=self._exchange.exchange_id if self._exchange else None,
            amount=amount,
            provider=payment.provider,
            payment_method=payment.payment_method,
            return_url=payment.return_url,
            deadline=deadline,
            buyer=payment.buyer,
        )
        authorization = await self._authorize(request)
        if authorization.result is not AuthorizationResult.ACTION_REQUIRED:
            return authorization
        until = workflow.now() + window
        await require_action(authorization.action_url)
        return await self._wait_for_buyer(request, authorization, until, notification, gives_up)

    async def _wait_for_buyer(
        self,
        request: Authorize,
        authorization: Authorization,
        until: datetime,
        notification: Notification,
        gives_up: Callable[[], bool],
    ) -> Authorization:
        pauses, is_last = doubling(FIRST_PAUSE, _LONGEST_PAUSE), False
        while authorization.result is AuthorizationResult.ACTION_REQUIRED and not is_last:
            await notification.wait(min(next(pauses), until - workflow.now()), unless=gives_up)
            if gives_up():
                break
            is_last = workflow.now() >= until
            authorization = await self._authorize(request)
        return authorization

    async def _authorize(self, request: Authorize) -> Authorization:
        """Reserve the money, or find out what became of the last try."""
        summary = f"authorize at {request.provider}"
        with self._aborting():
            return await provider_step(
                PaymentActivities.authorize, request, summary, self._max_attempts, locally=self._locally
            )

    async def capture(self) -> None:
        """Take the reserved money.

        Raises:
            Aborted: The provider could not be reached, refuses for good, or has captured another amount.
        """
        with self._aborting():
            if self._exchange:
                activity = PaymentActivities.capture_difference
                refusal = await provider_step(activity, self._exchange, "capture the difference", self._max_attempts)
            else:
                refusal = await provider_step(
                    PaymentActivities.capture,
                    self._booking_id,
                    "capture the money",
                    self._max_attempts,
                    locally=self._locally,
                )
        if refusal:
            raise Aborted(problems.difference_refused(refusal) if self._exchange else problems.capture_refused(refusal))

    async def return_money(self, late: LatePayment | None = None) -> None:
        """Void or refund until nothing of the buyer's is kept.

        Args:
            late: Of this late payment alone; None for the live payment.

        Raises:
            FailureError: It has been tried often enough.
            NeedsOperator: All has gone back, and a person has to know why: the amount was not the one that was owed.
        """
        if late:
            await provider_step(PaymentActivities.return_late_money, late, "void or refund", self._max_attempts)
        elif self._exchange:
            activity = PaymentActivities.return_difference
            await provider_step(activity, self._exchange, "void or refund", self._max_attempts)
        else:
            await provider_step(PaymentActivities.return_money, self._booking_id, "void or refund", self._max_attempts)
        await self._report_difference()

    @contextmanager
    def _aborting(self) -> Iterator[None]:
        try:
            yield
        except FailureError as error:
            if not failed_as(AMOUNT_DIFFERS, error):
                raise Aborted(self._unreachable) from error
            self._report_difference = once_known(str(error.cause or error))
            differs = problems.EXCHANGE_AMOUNT_DIFFERS if self._exchange else problems.AMOUNT_DIFFERS
            raise Aborted(differs) from error
