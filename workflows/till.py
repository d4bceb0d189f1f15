"""The steps of a booking at its payment provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import Authorization, Authorize, PaymentActivities
    from domain.bookings import Booking, BookingPolicy, PaymentCommand
    from domain.money import Money
    from temporal.policies import provider, provider_locally

T = TypeVar("T")


class Till:
    """Each step ends with a certain answer, or raises FailureError when it has been tried often enough."""

    def __init__(self, policy: BookingPolicy) -> None:
        self._policy = policy

    async def authorize(self, booking: Booking, command: PaymentCommand) -> Authorization:
        """Reserve what the booking costs."""
        request = Authorize(
            booking_id=booking.id,
            amount=Money(amount=booking.amount, currency=booking.currency),
            provider=command.provider,
            payment_method=command.payment_method,
            return_url=command.return_url,
            deadline=command.deadline,
        )
        return await self._take(PaymentActivities.authorize, request, f"authorize at {command.provider}")

    async def capture(self, booking: Booking) -> str | None:
        """Take the reserved money, or learn the provider's code for why not."""
        return await self._take(PaymentActivities.capture, booking.id, "capture the money")

    async def return_money(self, booking: Booking) -> None:
        """Void or refund until nothing of the buyer's is kept."""
        await self._over_there(PaymentActivities.return_money, booking.id, "void or refund")

    async def _take(self, step: Callable[[Any, Any], Awaitable[T]], order: object, summary: str) -> T:
        """In the saga's own worker, or where the payment service has machines of its own."""
        if self._policy.payment_steps != "local":
            return await self._over_there(step, order, summary)
        options = provider_locally(self._policy.compensation_attempts)
        return await workflow.execute_local_activity_method(step, order, summary=summary, **options)

    async def _over_there(self, step: Callable[[Any, Any], Awaitable[T]], order: object, summary: str) -> T:
        options = provider(self._policy.compensation_attempts)
        return await workflow.execute_activity_method(step, order, summary=summary, **options)
