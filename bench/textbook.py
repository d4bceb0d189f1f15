"""The baselines of the booking saga: a no-op workflow, and a saga as in a textbook.

The textbook saga uses the same activities, timeouts and retry policies. Each step is a remote activity, the payment
command is a signal, and the client waits for the result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import AuthorizationResult, Authorize, PaymentActivities
    from activities.reservation.bookings import Release, ReservationActivities, StartPayment, Step
    from domain.bookings import Booking, BookingRequest, BookingStatus, PaymentCommand
    from domain.money import Money
    from temporal.policies import provider, transaction
    from temporal.queues import RESERVATION

QUEUE = "bench"


@workflow.defn
class NoOp:
    """Starts and completes."""

    @workflow.run
    async def run(self) -> None:
        """Return at once: what is left is the cost of a workflow itself."""


@workflow.defn
class TextbookSaga:
    """Hold, wait for the signal, pay, issue; on failure undo in reverse."""

    def __init__(self) -> None:
        self._command: PaymentCommand | None = None

    @workflow.signal
    def pay(self, command: PaymentCommand) -> None:
        """Keep the payment command for `run`, which waits for it."""
        self._command = command

    @workflow.run
    async def run(self, request: BookingRequest) -> Booking:
        """Book and pay; the confirmed booking.

        Raises:
            ApplicationError: The seats are taken, or a step was refused; what was done is undone.
        """
        held = await _reserve(ReservationActivities.hold, request)
        if held.booking is None:
            raise ApplicationError("seats are taken", non_retryable=True)
        booking: Booking = held.booking
        undo: list[Callable[[], Awaitable[None]]] = [lambda: self._release(booking)]
        try:
            await workflow.wait_condition(
                lambda: self._command is not None, timeout=timedelta(seconds=request.hold_seconds)
            )
            assert self._command is not None
            booking = await _reserve(
                ReservationActivities.start_payment,
                StartPayment(booking=booking, window=request.policy.payment_window),
            )
            undo.append(lambda: self._return_money(booking))
            await self._authorize(booking, self._command)
            if await _reserve(ReservationActivities.commit, Step(booking=booking)):
                raise ApplicationError("seats are lost", non_retryable=True)
            if await _charge(PaymentActivities.capture, booking.id):
                raise ApplicationError("the capture was refused", non_retryable=True)
            confirmed: Booking = await _reserve(ReservationActivities.issue, Step(booking=booking))
            return confirmed
        except (ActivityError, ApplicationError, TimeoutError):
            while undo:
                await undo.pop()()
            raise

    async def _authorize(self, booking: Booking, command: PaymentCommand) -> None:
        request = Authorize(
            booking_id=booking.id,
            amount=Money(amount=booking.amount, currency=booking.currency),
            provider=command.provider,
            payment_method=command.payment_method,
            return_url=command.return_url,
            deadline=command.deadline,
        )
        authorization = await _charge(PaymentActivities.authorize, request)
        if authorization.result is not AuthorizationResult.AUTHORIZED:
            raise ApplicationError("the payment was declined", non_retryable=True)

    async def _return_money(self, booking: Booking) -> None:
        await _charge(PaymentActivities.return_money, booking.id)

    async def _release(self, booking: Booking) -> None:
        await _reserve(ReservationActivities.release, Release(booking=booking, to=BookingStatus.FAILED))


async def _reserve(step: Callable[..., Awaitable[Any]], input: Any) -> Any:
    return await workflow.execute_activity_method(step, input, task_queue=RESERVATION, **transaction())


async def _charge(step: Callable[..., Awaitable[Any]], input: Any) -> Any:
    return await workflow.execute_activity_method(step, input, **provider(max_attempts=12))
