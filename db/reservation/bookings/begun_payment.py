"""The command that began a booking's payment, by which a repeated command is recognized."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import bindparam, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow
from domain.bookings import BookingStatus, PaymentId


def values(payment: PaymentId | None) -> dict[str, str | None]:
    """A command as parameters of a statement."""
    return {
        "begun_by": payment.command if payment else None,
        "of_body": payment.body_sha256 if payment else None,
    }


async def remember(connection: AsyncConnection, booking_id: UUID, version: int, payment: PaymentId | None) -> None:
    """Store the command of a payment that has already begun from this version; None changes nothing.

    A workflow task whose worker died may have begun it for another command. The next task does not know that, and it
    is this command that pays.
    """
    if payment:
        where = {"of_booking": booking_id, "at_version": version}
        await connection.execute(_REMEMBER, where | values(payment))


_BEGUN = [(1, BookingStatus.PAYING), (2, BookingStatus.ACTION_REQUIRED)]  # by the changes since then
_REMEMBER = (
    update(BookingRow)
    .where(BookingRow.id == bindparam("of_booking"))
    .where(tuple_(BookingRow.version - bindparam("at_version"), BookingRow.status).in_(_BEGUN))
    .values(payment_command=bindparam("begun_by"), payment_body_sha256=bindparam("of_body"))
)
