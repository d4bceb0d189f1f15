"""What goes back to a buyer: one function for a refund, an exchange for a cheaper seat, and a change of the event.

The refund policy decides in each case. A ticket that is exchanged and then given back costs the same fee as one that
is given back at once, so no sequence of changes avoids a fee.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.refunds import RefundPolicy

NOTHING: Final = 0
"""The price of the place that a ticket is for after it is given back."""


class PriceChange(NamedTuple):
    """The price of one ticket's place before and after a change, in minor units; `NOTHING` after a refund.

    Attributes:
        kept: What exchanges of the ticket have kept before: a waiver gives that back, too.
    """

    before: int
    after: int = NOTHING
    kept: int = 0


class RefundTerms(NamedTuple):
    """What decides over money at one moment.

    Attributes:
        policy: The event's.
        starts_at: When the event begins.
        now: The moment, by the database's clock.
        step: The payment provider refunds only multiples of it, in minor units.
        is_waived: Staff, or a change of the event itself, returns all that was paid for the ticket at any time.
    """

    policy: RefundPolicy
    starts_at: datetime
    now: datetime
    step: int
    is_waived: bool = False

    @property
    def are_open(self) -> bool:
        """Whether money goes back at all."""
        return self.is_waived or self.policy.is_open(self.starts_at, self.now)

    @property
    def until(self) -> datetime | None:
        """Until when money goes back; None if there is no such time, or none any more."""
        return self.policy.ends_at(self.starts_at) if self.are_open and not self.is_waived else None


class MoneyBack(BaseModel):
    """What goes back for one change.

    Attributes:
        amount: Minor units that go back.
        fee: Minor units that the tickets are worth less after the change, and that are kept.
        until: Until when the same change gives back the same; None if nothing goes back, or by a waiver at any time.
        given_before: What the tickets are worth besides: the provider has given it back before, without our request.
    """

    model_config = ConfigDict(frozen=True)

    amount: int
    fee: int
    until: AwareDatetime | None = None
    given_before: int = 0


def money_back(terms: RefundTerms, changes: Sequence[PriceChange], left: int) -> MoneyBack:
    """What goes back for the changes together; nothing for a ticket that becomes dearer.

    Args:
        terms: What decides.
        changes: One for each ticket.
        left: Minor units that the buyer has paid and not got back. It is less than the tickets' prices where the
            provider has given money back without our request.
    """
    backs = [_of_one(terms, change) for change in changes if _gives_back(terms, change)]
    amount = min(sum(back.amount for back in backs), left)
    fee = min(sum(back.fee for back in backs), left - amount)
    given_before = sum(back.amount + back.fee for back in backs) - amount - fee
    return MoneyBack(amount=amount, fee=fee, until=terms.until if backs else None, given_before=given_before)


def _gives_back(terms: RefundTerms, change: PriceChange) -> bool:
    """A waiver gives back what an exchange has kept, also where the ticket is for a free place now."""
    return change.after < change.before or (terms.is_waived and change.kept > 0 and change.after == change.before)


def shares(terms: RefundTerms, changes: Sequence[PriceChange], whole: MoneyBack) -> list[MoneyBack]:
    """What each change has of the whole that `money_back` gives for them together, in their order."""
    found, amount, fee = list[MoneyBack](), whole.amount, whole.fee
    for change in changes:
        back = _of_one(terms, change)
        found.append(MoneyBack(amount=min(back.amount, amount), fee=min(back.fee, fee), until=whole.until))
        amount, fee = amount - found[-1].amount, fee - found[-1].fee
    return found


def _of_one(terms: RefundTerms, change: PriceChange) -> MoneyBack:
    worth_less = change.before - change.after
    if not terms.are_open:
        return MoneyBack(amount=0, fee=worth_less)
    if terms.is_waived:
        return MoneyBack(amount=worth_less + change.kept, fee=0)
    # The fee of the place that is kept is still to be paid: when that one is given back.
    fee = terms.policy.fee([change.before], terms.step) - terms.policy.fee([change.after], terms.step)
    return MoneyBack(amount=worth_less - fee, fee=fee)
