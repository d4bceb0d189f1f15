"""The cancellation of an event: its request, an estimate of its effects, and its progress."""

from __future__ import annotations

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.bookings import BookingStatus


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Estimate(_Frozen):
    """The effects that cancelling an event would have at this moment.

    Attributes:
        bookings_in_flight: Held or being paid. They are released, or refunded if the payment succeeds.
        bookings_to_refund: Paid, with at least one valid ticket.
        amount: Minor units that would be refunded for those tickets.
    """

    bookings_in_flight: int
    bookings_to_refund: int
    amount: int
    currency: str | None = None  # None if nothing was ever on sale


class Stranded(_Frozen):
    """A refund, or the exchange of a seat, that needs an operator.

    Attributes:
        refund_id: None for an exchange; then `exchange_id` is set.
        amount: The refund, or the exchange's difference, in minor units.
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
        blocked: Those of them that wait for an operator, because a refund or exchange by their buyer is stuck.
        refunding: Refunds that are under way.
        refunded: Refunds that have succeeded, and `amount` together.
        failed: Refunds that wait for an operator, including those that buyers requested and stuck exchanges;
            `stranded` has the first ones.
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
        """Whether this cancellation has nothing left to do. A failed refund continues by itself."""
        return not (self.in_flight or self.to_refund or self.refunding)

    @property
    def waits_for_operators(self) -> bool:
        """Whether it can continue only after operators have acted."""
        return not (self.in_flight or self.to_refund > self.blocked or self.refunding)


class Failing(_Frozen):
    """Refunds that come to nothing: they do not start, fail, are refused, or stay unaccepted. Each round tries again.

    Attributes:
        rounds: How many rounds in a row, before the current one, had such refunds.
        refunds: How many this round has so far.
        why: What is wrong with the first of them, in words.
        is_shown: Operators are asked for help.
    """

    rounds: int = 0
    refunds: int = 0
    why: str = ""
    is_shown: bool = False

    def with_another(self, why: str) -> Failing:
        """As this, and one more refund has come to nothing in this round."""
        return self.model_copy(update={"refunds": self.refunds + 1, "why": self.why if self.refunds else why})

    def after_the_round(self, *, bearable: int) -> Failing:
        """At the end of a round: operators are asked for help after more than so many rounds in a row.

        They are asked until a round without such refunds, also if the count of rounds is lost with a workflow.
        """
        rounds = self.rounds + 1 if self.refunds else 0
        is_shown = rounds > bearable or (self.is_shown and rounds > 0)
        return Failing(rounds=rounds, why=self.why if rounds else "", is_shown=is_shown)


class Cancellation(_Frozen):
    """A cancelled event's bookings, as its organizer sees them.

    Attributes:
        report: How it ended; None while it runs. Bookings that were `blocked` at that time are refunded later.
        needs_attention: Refunds fail again and again, and our support has been alerted.
        progress: The current numbers, also after the end: failed refunds may have succeeded since.
    """

    event_id: UUID
    requested_by: UUID
    started_at: AwareDatetime
    paused: bool
    needs_attention: bool = False
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
