"""Refuses another payment of a booking, or with a card, after too many payments have failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from adapters.redis.charge_quota import Charge
from api.reservation.context import ReservationContext
from domain.problems import ProblemType, Refused

_NOT_TRIED: Final = {
    ProblemType.PAYMENT_IN_PROGRESS,
    ProblemType.EXCHANGE_IN_PROGRESS,
    ProblemType.REFUND_IN_PROGRESS,
    ProblemType.SEATS_UNAVAILABLE,
}
"""Nothing was charged, and the buyer did nothing wrong."""


class Attempt:
    """A try to charge; it counts unless the command calls it a success."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.succeeded = False


@asynccontextmanager
async def counted(
    context: ReservationContext, booking_id: UUID, id: str, provider: str, card: str | None
) -> AsyncIterator[Attempt]:
    """Count a try to charge while it is made.

    Args:
        context: Of the request.
        booking_id: The booking that is paid, or one of whose seats is exchanged.
        id: The same for each repetition of the call. A client may use one key for each of its bookings.
        provider: Who charges.
        card: The provider's token for the card, if the buyer named one.

    Raises:
        Refused: RATE_LIMITED: The booking or the card was tried too often.
    """
    charge = Charge(f"{booking_id}:{id}", booking_id, provider, card)
    wait = await context.charge_quota.admit(charge)
    if wait:
        detail = "Too many payments of this booking, or with this card, have failed. Wait, then try again."
        raise Refused(ProblemType.RATE_LIMITED, detail, retry_after=wait, booking_id=str(booking_id))
    attempt = Attempt()
    try:
        yield attempt
    except Refused as refusal:
        attempt.succeeded = refusal.problem.type in _NOT_TRIED
        raise
    finally:
        if attempt.succeeded:
            await context.charge_quota.forget(charge)
