"""Refunds: policy, states, request and outcome."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.bookings import Booking
from domain.money import Currency, round_fee
from domain.problems import Problem


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class RefundPolicy(_Frozen):
    """What goes back to a buyer. The default is everything until the event begins.

    It holds for a refund, and for the difference in price of an exchange for a cheaper seat.

    Attributes:
        until_hours: How many hours before the beginning refunds end; None if there are none.
        fee_percent: The part of a ticket's price that is kept, in percent, rounded down to a minor unit.
        fee_fixed: Minor units that are kept of each ticket in addition.
    """

    until_hours: int | None = Field(default=0, ge=0)
    fee_percent: int = Field(default=0, ge=0, le=100)
    fee_fixed: int = Field(default=0, ge=0)

    def is_open(self, starts_at: datetime, now: datetime) -> bool:
        """Whether a buyer may still return tickets."""
        ends_at = self.ends_at(starts_at)
        return ends_at is not None and now < ends_at

    def ends_at(self, starts_at: datetime) -> datetime | None:
        """When refunds end; None if there are none."""
        return None if self.until_hours is None else starts_at - timedelta(hours=self.until_hours)

    def fee(self, prices: Iterable[int], step: int) -> int:
        """The fee for tickets with these prices, in minor units.

        It is computed for each ticket, so that several refunds cost the same as one. A ticket's fee is never more than
        its price, and is lowered until the provider can pay the rest.

        Args:
            prices: In minor units.
            step: The payment provider refunds only multiples of it, in minor units.
        """
        return sum(round_fee(price, price * self.fee_percent // 100 + self.fee_fixed, step) for price in prices)


class RefundCause(StrEnum):
    """What started a refund. It does not decide the amount: that is the policy's part, or a waiver's."""

    BUYER = "buyer"
    STAFF = "staff"
    EVENT_CANCELLED = "event_cancelled"
    EXCHANGE = "exchange"  # of a seat for a cheaper one: only the difference is refunded
    PROVIDER = "provider"  # the provider gave money back without our request; the tickets stay valid


class RefundState(StrEnum):
    """The state of a refund. An accepted refund is final: it can only end with the money paid to the buyer."""

    PENDING = "pending"  # the tickets are void, the provider has not confirmed yet
    NEEDS_ATTENTION = "needs_attention"  # the same, and it waits for an operator
    SUCCEEDED = "succeeded"  # the provider confirms that the money is paid


class Refund(_Frozen):
    """Tickets that were returned, and the money for them.

    Attributes:
        amount: Minor units that the buyer gets.
        fee: Minor units that are kept by the event's policy.
        reason: In the platform's own words, or in those of the person who asked for it; then it is stored sealed.
        tickets: The tickets that it made void.
        sealed_reason: The person's words, sealed under the key of the booking's buyer; no answer of the API has it.
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
    sealed_reason: str | None = Field(default=None, exclude=True)


class SeenRefund(_Frozen):
    """Attributes: settled_at: when a refund had been settled, as it was read; None: it had not been."""

    id: UUID
    settled_at: AwareDatetime | None


class RefundRequest(_Frozen):
    """What starts a refund.

    Attributes:
        id: A keyed hash of user and idempotency key, so that every repeated request gets this refund.
        reason: In the platform's own words; of a person's words, see `sealed_reason`.
        tickets: The tickets to refund; empty for all valid ones.
        waives_policy: Refund in full and at any time, whatever the event's policy says.
        body_sha256: Hex digest of the request; it separates a repeated request from a new one with the same key.
        attempts: How often a step is tried before the refund waits for an operator.
        sealed_reason: Why, in a person's words, sealed under the key of the booking's buyer; None if it is not kept.
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
    sealed_reason: str | None = None


class RefundOutcome(_Frozen):
    """The answer to a request for a refund: the accepted refund, or the problem.

    Attributes:
        booking: The booking after the tickets became void.
        places_shown: Whether Redis shows the places as free already.
        payments: Which payments of the booking stand, and may give money back: those of its completed exchanges, and
            with None its own. None as a whole in histories from before this was known.
    """

    body_sha256: str
    refund: Refund | None = None
    booking: Booking | None = None
    places_shown: bool = True
    payments: tuple[UUID | None, ...] | None = None
    problem: Problem | None = None
