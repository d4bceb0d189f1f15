"""The last payment of a booking, which answers its caller when Temporal has forgotten the command."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings.bookings import with_tickets
from db.reservation.tables import BookingRow
from domain.bookings import Booking, PaymentId
from domain.problems import Problem


class LastPayment(NamedTuple):
    """A booking with its last payment.

    Attributes:
        payment: The command; None without a payment, or after one that an older version began.
        problem: Why it failed; None if it has not.
    """

    booking: Booking
    payment: PaymentId | None
    problem: Problem | None


async def find(connection: AsyncConnection, booking_id: UUID) -> LastPayment | None:
    """A booking with its last payment, or None."""
    row: Any = (await connection.execute(_FIND, {"of_booking": booking_id})).one_or_none()
    if row is None:
        return None
    return LastPayment(
        await with_tickets(connection, row),
        PaymentId(command=row.payment_command, body_sha256=row.payment_body_sha256) if row.payment_command else None,
        Problem.model_validate(row.payment_problem) if row.payment_problem else None,
    )


_FIND = select(BookingRow).where(BookingRow.id == bindparam("of_booking"))
