"""Refunds: who may have how much back, and the words in which a refund is ordered and answered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.bookings import Booking
from domain.money import Currency
from domain.problems import Problem


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class RefundPolicy(_Frozen):
    """What an organizer grants buyers who change their mind; where nothing is said, all of it until the event begins.

    Attributes:
        until_hours: Until how many hours before the beginning tickets may be given back; None for never.
        fee_percent: How much of a ticket's price is kept, in percent; parts of a minor unit go to the buyer.
        fee_fixed: Minor units that are kept of each ticket besides.
    """

    until_hours: int | None = Field(default=0, ge=0)
    fee_percent: int = Field(default=0, ge=0, le=100)
    fee_fixed: int = Field(default=0, ge=0)

    def is_open(self, starts_at: datetime, now: datetime) -> bool:
        """Whether a buyer may still give tickets back."""
        return self.until_hours is not None and now < starts_at - timedelta(hours=self.until_hours)

    def fee(self, prices: Iterable[int]) -> int:
        """What is kept of tickets with these prices, in minor units.

        Reckoned ticket by ticket, so that giving them back one after the other costs the same as all at once; a
        ticket's fee is never more than its price.
        """
        return sum(min(price, price * self.fee_percent // 100 + self.fee_fixed) for price in prices)


class RefundCause(StrEnum):
    BUYER = "buyer"
    STAFF = "staff"
    EVENT_CANCELLED = "event_cancelled"
    EXCHANGE = "exchange"  # of a seat for a cheaper one: the difference; no ticket is given back


class RefundState(StrEnum):
    """Where a refund stands. It is decided when it is accepted, so none ends without the money having gone back."""

    PENDING = "pending"  # the tickets are void, the money is on its way
    NEEDS_ATTENTION = "needs_attention"  # likewise, and an operator has to look
    SUCCEEDED = "succeeded"  # the provider says that the money has gone back


class Refund(_Frozen):
    """Tickets given back, and the money for them.

    Attributes:
        amount: Minor units that go back to the buyer.
        fee: Minor units that are kept by the event's policy.
        tickets: The tickets that it has made void.
    """

    id: UUID
    booking_id: UUID
    state: RefundState
    cause: RefundCause
    reason: str
    amount: int
    fee: int
    currency: Currency
    tickets: tuple[UUID, ...]
    created_at: AwareDatetime
    settled_at: AwareDatetime | None = None


class RefundRequest(_Frozen):
    """What starts a refund.

    Attributes:
        id: A keyed hash of user and idempotency key, so that every repetition means this refund.
        tickets: Which tickets; empty for all that are valid.
        waives_policy: Refund in full and at any time, whatever the event's policy says.
        body_sha256: Hex digest of the request, to tell a repetition from another request under the same key.
        attempts: How often a step is tried before the refund waits for an operator.
    """

    id: UUID
    booking_id: UUID
    event_id: UUID
    requested_by: UUID
    cause: RefundCause
    reason: str
    tickets: tuple[UUID, ...] = ()
    waives_policy: bool = False
    body_sha256: str
    attempts: int = 12


class RefundOutcome(_Frozen):
    """The answer to a request for a refund: what was accepted, or why nothing was.

    Attributes:
        booking: The booking with the tickets made void.
        places_shown: Whether Redis knows already that the places are free.
    """

    body_sha256: str
    refund: Refund | None = None
    booking: Booking | None = None
    places_shown: bool = True
    problem: Problem | None = None
