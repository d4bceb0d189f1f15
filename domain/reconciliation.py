"""Holding our ledger against a provider's books: what each side says of a day, and how the two may differ."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.money import Money
from domain.payments import Intent, IntentState


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class MovementKind(StrEnum):
    """What a provider's list says that happened to money."""

    HELD = "held"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"  # what had gone back is with us again


class Movement(_Frozen):
    """One line of a provider's list.

    Attributes:
        reference: The provider's own id of the line.
        booking_id: What we told the provider that it is for; None where it does not say so.
        intent_id: The intent whose money it is, where the list names it: what was made by hand tells nothing else.
        fee: What the provider keeps for itself, where the list says so; perhaps in another currency.
    """

    reference: str
    kind: MovementKind
    booking_id: UUID | None
    intent_id: str | None = None
    amount: Money
    fee: Money | None = None
    happened_at: AwareDatetime


class MovementPage(_Frozen):
    """A part of a day's list; `next_page` gets the following one and is None on the last."""

    movements: tuple[Movement, ...]
    next_page: str | None = None


class Standing(_Frozen):
    """What our ledger has of one payment attempt, in minor units.

    Attributes:
        is_known: Whether it has anything of it at all, were it let go since.
        pending: Refunds that we have asked for and that may or may not have gone back yet.
    """

    currency: str
    is_known: bool = False
    held: int = 0
    captured: int = 0
    refunded: int = 0
    pending: int = 0


class DifferenceKind(StrEnum):
    MISSING_HERE = "missing_here"  # the provider has moved money of which our ledger knows nothing
    MISSING_THERE = "missing_there"  # our ledger has money that the provider has never seen
    AMOUNT = "amount"
    CURRENCY = "currency"
    STATE = "state"  # reserved here and taken there, or the like


class Difference(_Frozen):
    """One thing that the two books do not agree about.

    Attributes:
        subject: The booking, or the provider's own reference where it is none of ours.
        ours: What our ledger says, in words for an operator; `theirs` likewise of the provider.
    """

    provider: str
    day: date
    subject: str
    kind: DifferenceKind
    ours: str
    theirs: str


class ReconcileDay(_Frozen):
    """What starts a reconciliation; `day` is UTC's."""

    provider: str
    day: date


class Reconciliation(_Frozen):
    """The result for one provider and day.

    Attributes:
        movements: How many lines the provider's list had; None where it has no list, and each payment of ours was
            looked up instead.
        looked_up: How many bookings' payments were looked up one by one, since the lists did not settle them.
        differences: At most SHOWN of them; `count` is of all.
    """

    provider: str
    day: date
    movements: int | None
    looked_up: int
    count: int
    differences: tuple[Difference, ...]


SHOWN = 200
"""How many differences a result carries and the log tells; the table has all."""


def compare(ours: Standing, theirs: Intent | None) -> DifferenceKind | None:
    """How one payment differs, as both sides have it now; None where they agree.

    What has been asked to go back and may be on its way is no difference.
    """
    here, there = _where(ours.held, ours.captured), _at_provider(theirs)
    if there is None:
        return DifferenceKind.MISSING_THERE if here else None
    if there and not ours.is_known:
        return DifferenceKind.MISSING_HERE
    if here != there:
        return DifferenceKind.STATE
    assert theirs is not None
    if here and theirs.amount and theirs.amount.currency != ours.currency:
        return DifferenceKind.CURRENCY
    if there != "captured":
        reserved = theirs.amount.amount if theirs.amount else 0
        return DifferenceKind.AMOUNT if there and reserved != ours.held else None
    back = ours.refunded <= theirs.refunded <= ours.refunded + ours.pending
    return None if theirs.captured == ours.captured and back else DifferenceKind.AMOUNT


def _where(held: int, captured: int) -> str:
    return "captured" if captured else "authorized" if held else ""


def _at_provider(intent: Intent | None) -> str | None:
    """Where the provider has money; None where it has never had any."""
    if intent is None or intent.state in (IntentState.OPEN, IntentState.ACTION_REQUIRED, IntentState.PROCESSING):
        return None
    return "" if intent.state is IntentState.VOIDED else str(intent.state)
