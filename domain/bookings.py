"""A booking's life: its states and legal edges, its commands and their outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.buyers import SealedBuyer
from domain.money import Currency
from domain.problems import Problem, ProblemType, Refused


class BookingStatus(StrEnum):
    """The state of a booking. In `needs_attention` it waits for an operator's decision."""

    HELD = "held"
    PAYING = "paying"
    ACTION_REQUIRED = "action_required"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    REFUNDING = "refunding"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    NEEDS_ATTENTION = "needs_attention"


_S = BookingStatus
EDGES: dict[BookingStatus, frozenset[BookingStatus]] = {
    _S.HELD: frozenset({_S.PAYING, _S.CANCELLED, _S.EXPIRED, _S.FAILED, _S.NEEDS_ATTENTION}),
    _S.PAYING: frozenset(
        {_S.HELD, _S.ACTION_REQUIRED, _S.CONFIRMED, _S.CANCELLED, _S.EXPIRED, _S.FAILED, _S.NEEDS_ATTENTION}
    ),
    _S.ACTION_REQUIRED: frozenset({_S.PAYING, _S.HELD, _S.CANCELLED, _S.EXPIRED, _S.FAILED, _S.NEEDS_ATTENTION}),
    _S.NEEDS_ATTENTION: frozenset({_S.HELD, _S.CONFIRMED, _S.CANCELLED, _S.EXPIRED, _S.FAILED, _S.REFUNDED}),
    _S.CONFIRMED: frozenset({_S.REFUNDING, _S.NEEDS_ATTENTION}),
    _S.REFUNDING: frozenset({_S.CONFIRMED, _S.PARTIALLY_REFUNDED, _S.REFUNDED, _S.NEEDS_ATTENTION}),
    _S.PARTIALLY_REFUNDED: frozenset({_S.REFUNDING, _S.NEEDS_ATTENTION}),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset({_S.PAYING}),  # its payment arrived late, and its places were still free
    _S.FAILED: frozenset(),
    _S.REFUNDED: frozenset({_S.REFUNDING}),  # the provider reports that the refund failed after all
}
"""The legal edges. The reservation database holds the same table and refuses any other change."""

ENDED = frozenset({_S.CONFIRMED, _S.CANCELLED, _S.EXPIRED, _S.FAILED})
"""How the booking saga can end; each has exactly one outcome event."""

PAID = frozenset({_S.CONFIRMED, _S.REFUNDING, _S.PARTIALLY_REFUNDED, _S.REFUNDED})
"""Confirmed, or refunded since: the booking owes its amount less its refunds."""

OVER = ENDED | PAID
"""The booking saga has nothing more to do."""

UNFINISHED = frozenset(_S) - OVER
"""The booking saga has something to do."""


def check_edge(old: BookingStatus, new: BookingStatus) -> None:
    """Raise ValueError unless a booking may go from `old` to `new`."""
    if new not in EDGES[old]:
        raise ValueError(f"a booking cannot go from {old} to {new}")


def seats_unavailable(taken: Sequence[str]) -> Refused:
    """The refusal of places that other bookings have."""
    return Refused(ProblemType.SEATS_UNAVAILABLE, f"Not available any more: {', '.join(taken)}.", seats=list(taken))


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ticket(_Frozen):
    """The right to one place: a named seat, or a place in a general-admission section (then `seat` is None)."""

    id: UUID
    section: str
    seat: str | None


class Booking(_Frozen):
    """A booking as its owner sees it.

    Attributes:
        amount: Integer minor units for all places together, fixed when they were held; the price of an exchange for a
            dearer seat is added.
        refunded: Minor units of it that the buyer has back for certain.
        expires_at: When the hold ends (UTC), unless a payment is under way or done.
        version: Grows by one with each change of state, and is the sequence of that change's domain event.
    """

    id: UUID
    version: int
    user_id: UUID
    event_id: UUID
    status: BookingStatus
    seats: tuple[str, ...] = ()
    quantities: dict[str, int] = {}
    amount: int
    currency: Currency
    expires_at: AwareDatetime
    refunded: int = 0
    tickets: tuple[Ticket, ...] = ()

    @property
    def size(self) -> int:
        """How many places it has, seats and general admission together."""
        return len(self.seats) + sum(self.quantities.values())


class BookingPolicy(_Frozen):
    """The limits that a booking started with; recorded in its history, so that a later change cannot rewrite it.

    Attributes:
        payment_window: How long after its start a payment attempt may keep the seats, 3-D Secure included.
        compensation_attempts: How often an undo is tried before the saga waits for an operator.
        payment_steps: Where authorize and capture run: in the saga's own worker (`local`), or on the payment queue.
        free_places: How many places that cost nothing its user may have at the event; 0 for any number.
    """

    payment_window: timedelta = timedelta(minutes=10)
    compensation_attempts: int = 12
    payment_steps: Literal["local", "remote"] = "remote"
    free_places: int = 0


class BookingRequest(_Frozen):
    """What starts a booking.

    Attributes:
        id: A keyed hash of user and idempotency key, so that every repeated request gets this booking.
        body_sha256: Hex digest of the request's body; it separates a repeated request from a new one with the same key.
        hold_seconds: How long the event lets seats be held.
        accept_alternatives: Whether equal seats are accepted if the payment arrives late and these are gone.
        not_after: The caller's deadline (UTC, the database's clock); after it a new claim is refused.
    """

    id: UUID
    user_id: UUID
    event_id: UUID
    seats: tuple[str, ...]
    quantities: dict[str, int]
    body_sha256: str
    hold_seconds: int
    accept_alternatives: bool = False
    not_after: AwareDatetime | None = None
    policy: BookingPolicy = BookingPolicy()


class HoldOutcome(_Frozen):
    """The answer to a request for a hold: the booking, or why there is none.

    Attributes:
        asked_by: The call that got this answer first; Temporal gives the same answer to each later one.
    """

    body_sha256: str
    asked_by: str = ""
    booking: Booking | None = None
    problem: Problem | None = None


class PaymentCommand(_Frozen):
    """A buyer's command to pay.

    Attributes:
        provider: Its name; perhaps empty where nothing is to pay.
        payment_method: The provider's token; None if the buyer chooses on the provider's page.
        return_url: Where the provider sends the buyer afterwards.
        deadline: A charge may start for this call until then (UTC, the database's clock). Later the caller has given
            up and must not be charged.
        body_sha256: As in `BookingRequest`.
        buyer: What the provider's fraud checks get; None if that is nothing.
    """

    provider: str
    payment_method: str | None
    return_url: str
    deadline: AwareDatetime
    body_sha256: str
    buyer: SealedBuyer | None = None


class PaymentId(_Frozen):
    """By what a repeated command to pay is recognized.

    Attributes:
        command: The id of the update, which comes from the caller's key.
        body_sha256: As in `BookingRequest`.
    """

    command: str
    body_sha256: str


class PaymentOutcome(_Frozen):
    """The answer to a command to pay.

    Attributes:
        action_url: Where the buyer must go before the payment can go on (3-D Secure).
    """

    body_sha256: str
    booking: Booking | None = None
    problem: Problem | None = None
    action_url: str | None = None


class CancelOutcome(_Frozen):
    """The answer to a buyer who cancels a booking, or only a payment."""

    booking: Booking | None = None
    problem: Problem | None = None


class OperatorAction(StrEnum):
    """What an operator can decide for a saga that waits in `needs_attention`."""

    RETRY = "retry"  # try the step again, with a fresh set of attempts
    RESOLVE = "resolve"  # the operator has done the step by hand: go on as if it had succeeded
    COMPENSATE = "compensate"  # give up going forward: return the money and the seats
