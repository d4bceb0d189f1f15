"""Compares the ledger with a provider's settlement report for a day: the movements, and how the two may differ."""

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
    """What happened to money, according to a provider's settlement report."""

    HELD = "held"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"  # the refunded money came back to the seller
    DISPUTED = "disputed"  # the buyer's bank took the money back
    DISPUTE_REVERSED = "dispute_reversed"  # it came back to the seller
    OTHER = "other"  # a movement that the platform has no word for


class Movement(_Frozen):
    """One line of a settlement report.

    Attributes:
        reference: The provider's own id of the line.
        booking_id: The booking that the line names; None if it names none.
        intent_id: The intent, if the report names it. A payment made by hand has nothing else.
        fee: The provider's fee, if the report names it; perhaps in another currency.
    """

    reference: str
    kind: MovementKind
    booking_id: UUID | None
    intent_id: str | None = None
    amount: Money
    fee: Money | None = None
    happened_at: AwareDatetime


class MovementPage(_Frozen):
    """A page of a day's report. `next_page` gets the following page and is None on the last."""

    movements: tuple[Movement, ...]
    next_page: str | None = None


class LedgerAmounts(_Frozen):
    """What the ledger has about one payment attempt, in minor units.

    Attributes:
        is_known: Whether the ledger has any transaction of it, voided ones included.
        pending: Refunds that were requested and may or may not be paid yet.
        disputed: What the buyer's bank has taken back, according to the provider's reports.
    """

    currency: str
    is_known: bool = False
    held: int = 0
    captured: int = 0
    refunded: int = 0
    pending: int = 0
    disputed: int = 0


class DifferenceKind(StrEnum):
    """How the ledger and a provider disagree about a payment."""

    MISSING_HERE = "missing_here"  # the provider has moved money that is not in the ledger
    MISSING_THERE = "missing_there"  # the ledger has money that the provider does not have
    AMOUNT = "amount"
    CURRENCY = "currency"
    STATE = "state"  # for example authorized here and captured there
    DISPUTE = "dispute"  # the buyer's bank has taken the money back, and the ledger still has it


class Difference(_Frozen):
    """One difference between the ledger and the settlement report.

    Attributes:
        subject: The booking, or the provider's own reference if it names no known booking.
        ours: What the ledger says, in words for an operator; `theirs` is what the provider says.
    """

    provider: str
    day: date
    subject: str
    kind: DifferenceKind
    ours: str
    theirs: str


class ReconcileDay(_Frozen):
    """What starts a reconciliation; `day` is in UTC."""

    provider: str
    day: date


class ReconcileDueDays(_Frozen):
    """What starts the reconciliation of all days that are due.

    Attributes:
        providers: Their names. They are an input, so that a new provider changes no run that has begun.
    """

    providers: tuple[str, ...]


class Reconciliation(_Frozen):
    """The result for one provider and day.

    Attributes:
        movements: How many lines the report had; None if the provider has no report and each payment was retrieved
            instead.
        looked_up: How many bookings' payments were retrieved one by one, because the report left a doubt.
        differences: At most SHOWN of them; `count` is of all.
    """

    provider: str
    day: date
    movements: int | None
    looked_up: int
    count: int
    differences: tuple[Difference, ...]


SHOWN = 200
"""How many differences a result and the log contain; the table has all."""


def compare(ours: LedgerAmounts, theirs: Intent | None) -> DifferenceKind | None:
    """How both sides differ about one payment now; None if they agree.

    A refund that is requested and perhaps not paid yet is no difference. Nor is a disputed payment whose money the
    ledger has posted as given back, by an operator's hand: the provider never counts it as refunded.
    """
    kind = _compare(ours, theirs)
    if not (ours.disputed and theirs):
        return kind
    gone = theirs.model_copy(update={"refunded": theirs.refunded + ours.disputed})
    return (kind or DifferenceKind.DISPUTE) if _compare(ours, gone) else None


def _compare(ours: LedgerAmounts, theirs: Intent | None) -> DifferenceKind | None:
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
    """Where the provider has the money; None if it never had any."""
    if intent is None or intent.state in (IntentState.OPEN, IntentState.ACTION_REQUIRED, IntentState.PROCESSING):
        return None
    return "" if intent.state is IntentState.VOIDED else str(intent.state)
