"""Exchanges of a ticket's seat for another seat of the same event: policy, states, request and outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.bookings import BookingStatus
from domain.buyers import SealedBuyer
from domain.money import Currency
from domain.problems import Problem


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ExchangePolicy(_Frozen):
    """When an organizer allows exchanges. The default is until the event begins.

    It says nothing about money: the refund policy decides what goes back for a cheaper seat.

    Attributes:
        until_hours: How many hours before the beginning exchanges end; None if there are none.
    """

    until_hours: int | None = Field(default=0, ge=0)

    def ends_at(self, starts_at: datetime) -> datetime | None:
        """When exchanges end; None if there are none."""
        return None if self.until_hours is None else starts_at - timedelta(hours=self.until_hours)


class ExchangeState(StrEnum):
    """The state of an exchange. Until it is completed, the old ticket is valid and its seat is the buyer's."""

    PENDING = "pending"  # the new seat is held
    ACTION_REQUIRED = "action_required"  # the new seat is held, and the buyer has to act at the payment provider
    COMMITTED = "committed"  # the difference is authorized and is being captured; only an undo can end it now
    COMPLETED = "completed"  # the new ticket is issued, the old one void, its seat on sale again
    FAILED = "failed"  # undone: nothing is charged, and the old ticket is valid


LIVE = (ExchangeState.PENDING, ExchangeState.ACTION_REQUIRED, ExchangeState.COMMITTED)
"""The exchange is under way: nothing else may change the booking."""


MOST_EXCHANGES = 20
"""How many exchanges of one booking may be completed: each leaves a void ticket, which every later answer reads."""

MOST_SHOWN = 100
"""How many exchanges of one booking an answer lists, the newest ones: those that fail are limited by time alone."""


EXCHANGEABLE = (BookingStatus.CONFIRMED, BookingStatus.PARTIALLY_REFUNDED)
"""The states of a booking in which its seats may be exchanged; they are the same afterwards."""


def exchanged(seats: Sequence[str], old: str, new: str) -> tuple[str, ...]:
    """A booking's seats with `new` in the place of `old`."""
    at = seats.index(old)
    return (*seats[:at], new, *seats[at + 1 :])


class Exchange(_Frozen):
    """One exchange.

    Attributes:
        ticket: The ticket that is exchanged, for `old_seat`.
        new_ticket: The ticket for `seat`, once it is issued.
        difference: The new seat's price less the old seat's, in minor units; negative for a cheaper seat.
        returns: Minor units of a negative difference that go back by the event's refund policy.
        fee: The rest of it, which is kept.
        refund_id: The refund of what goes back, if anything does.
        needs_attention: The exchange waits for an operator.
        action_url: The page that the buyer has to visit while `state` is `action_required`.
        problem: Why it failed.
    """

    id: UUID
    booking_id: UUID
    state: ExchangeState
    ticket: UUID
    old_seat: str
    seat: str
    new_ticket: UUID | None = None
    difference: int
    returns: int = 0
    fee: int = 0
    currency: Currency
    refund_id: UUID | None = None
    needs_attention: bool = False
    action_url: str | None = None
    problem: Problem | None = None
    created_at: AwareDatetime
    settled_at: AwareDatetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has completed or failed, so that other changes of the booking are possible again."""
        return self.state not in LIVE

    def answer(self) -> dict[str, Any]:
        """As clients see it."""
        shown = self.model_dump(exclude={"action_url", "problem"})
        action = {"type": "redirect_to_url", "url": self.action_url} if self.action_url else None
        failure = {"type": self.problem.type, "detail": self.problem.detail} if self.problem else None
        return shown | {"next_action": action, "failure": failure}


class Payment(_Frozen):
    """How the buyer pays a difference; the fields are those of `domain.bookings.PaymentCommand`."""

    provider: str
    payment_method: str | None
    return_url: str
    buyer: SealedBuyer | None = None


class ExchangeRequest(_Frozen):
    """What starts an exchange.

    Attributes:
        id: A keyed hash of user and idempotency key, so that every repeated request gets this exchange.
        payment: None if the buyer named no provider, or if the exchange is continued from its row.
        deadline: The exchange and its charge may start until then (UTC, the database's clock). Later the caller has
            given up.
        body_sha256: Hex digest of the request; it separates a repeated request from a new one with the same key.
        window: How long the buyer may take to act at the provider.
        attempts: How often a step is tried before the exchange is undone or waits for an operator.
        free_places: How many places that cost nothing the buyer may have at the event; 0 for any number.
    """

    id: UUID
    booking_id: UUID
    event_id: UUID
    requested_by: UUID
    ticket: UUID
    seat: str
    payment: Payment | None
    deadline: AwareDatetime
    body_sha256: str
    window: timedelta
    attempts: int
    free_places: int = 0


class ExchangeOutcome(_Frozen):
    """The answer to a request: the exchange as it stands, or why there is none."""

    body_sha256: str
    exchange: Exchange | None = None
    problem: Problem | None = None
