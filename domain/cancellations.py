"""Calling an event off: what is ordered, what it would mean, and what became of it."""

from __future__ import annotations

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.bookings import BookingStatus


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Estimate(_Frozen):
    """What cancelling an event would mean at this moment.

    Attributes:
        bookings_in_flight: Held or being paid: they are let go, or refunded where they come to be paid.
        bookings_to_refund: Paid, with at least one valid ticket.
        amount: Minor units that would go back for those tickets.
    """

    bookings_in_flight: int
    bookings_to_refund: int
    amount: int
    currency: str | None = None  # where nothing was ever on sale


class Stranded(_Frozen):
    """A refund, or the exchange of a seat, that needs an operator.

    Attributes:
        refund_id: None where it is an exchange, which `exchange_id` then names.
        amount: What goes back, or the exchange's difference, in minor units.
    """

    refund_id: UUID | None
    exchange_id: UUID | None = None
    booking_id: UUID
    amount: int


class Progress(_Frozen):
    """How far a cancellation has come; amounts in minor units.

    Attributes:
        in_flight: Bookings that are not settled yet.
        to_refund: Paid bookings that still have valid tickets.
        blocked: Those of them that wait for an operator: their buyer's own refund or exchange is parked.
        refunding: Refunds whose money is on its way.
        refunded: Refunds that have succeeded, and `amount` together.
        failed: Refunds that wait for an operator, the buyers' own and parked exchanges among them, of which
            `stranded` names the first ones.
    """

    in_flight: int
    to_refund: int
    blocked: int = 0
    refunding: int
    refunded: int
    amount: int
    failed: int
    stranded: tuple[Stranded, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that this cancellation could do; a failed refund goes on by itself."""
        return not (self.in_flight or self.to_refund or self.refunding)

    @property
    def waits_for_operators(self) -> bool:
        """Whether it can do nothing more until operators have done their part."""
        return not (self.in_flight or self.to_refund > self.blocked or self.refunding)


class Cancellation(_Frozen):
    """A cancelled event's bookings, as its organizer sees them.

    Attributes:
        report: How it ended; None while it goes on. Bookings that were `blocked` by then are refunded afterwards.
        progress: As it is now, also after the end: failed refunds may have succeeded since.
    """

    event_id: UUID
    requested_by: UUID
    started_at: AwareDatetime
    paused: bool
    finished_at: AwareDatetime | None
    report: Progress | None
    progress: Progress


class OpenBooking(_Frozen):
    """A booking of a cancelled event that is not settled.

    Attributes:
        exchange_id: The exchange of one of its seats that is under way.
    """

    id: UUID
    status: BookingStatus
    exchange_id: UUID | None = None
