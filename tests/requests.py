"""What the API asks of the sagas of bookings, refunds and exchanges, for tests that call their steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from domain.bookings import Booking, BookingRequest
from domain.exchanges import ExchangeRequest
from domain.refunds import RefundCause, RefundRequest


def booking_request(event: UUID, *seats: str, **quantities: int) -> BookingRequest:
    """A hold of two minutes."""
    return BookingRequest(
        id=uuid4(),
        user_id=uuid4(),
        event_id=event,
        seats=seats,
        quantities=quantities,
        body_sha256="",
        hold_seconds=120,
    )


def exchange_request(booking: Booking, ticket: UUID, seat: str) -> ExchangeRequest:
    """A free exchange of a ticket's seat, within a minute."""
    return ExchangeRequest(
        id=uuid4(),
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=booking.user_id,
        ticket=ticket,
        seat=seat,
        payment=None,
        deadline=datetime.now(UTC) + timedelta(minutes=1),
        body_sha256="",
        window=timedelta(minutes=1),
        attempts=1,
    )


def refund_request(
    booking: Booking, tickets: Sequence[UUID], cause: RefundCause = RefundCause.BUYER, *, waives_policy: bool = False
) -> RefundRequest:
    """A refund of some tickets."""
    return RefundRequest(
        id=uuid4(),
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=booking.user_id,
        cause=cause,
        reason="",
        tickets=tuple(tickets),
        waives_policy=waives_policy,
        body_sha256="",
    )
