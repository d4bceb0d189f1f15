"""Domain events, which services publish for other services: one model per type, each with a checked-in JSON Schema.

The word `event` alone means a show or match that is sold. Domain events carry user ids, never names or addresses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.bookings import BookingStatus, Ticket
from domain.domain_event_registry import DOMAIN_EVENTS as DOMAIN_EVENTS
from domain.domain_event_registry import AnyDomainEvent as AnyDomainEvent
from domain.domain_event_registry import DomainEvent as DomainEvent
from domain.domain_event_registry import types_of
from domain.event_parts import EventSummary as EventSummary
from domain.event_parts import SectionOnSale as SectionOnSale
from domain.event_parts import Venue as Venue
from domain.event_parts import zone_of_venue as zone_of_venue
from domain.money import Currency
from domain.time_zones import TimeZone
from domain.user_events import UserAskedForPasswordReset as UserAskedForPasswordReset
from domain.user_events import UserAskedForToken as UserAskedForToken
from domain.user_events import UserAskedForVerification as UserAskedForVerification
from domain.user_events import UserErased as UserErased
from domain.user_events import UserEvent as UserEvent
from domain.user_events import UserInvitedToTeam as UserInvitedToTeam
from domain.user_events import UserPasswordChanged as UserPasswordChanged
from domain.user_events import UserRegistered as UserRegistered
from domain.user_events import UserRegisteredAgain as UserRegisteredAgain


class BookingEvent(DomainEvent):
    """A change of one booking; `status` is its state afterwards."""

    topic: ClassVar[str] = "reservation.events"

    booking_id: UUID
    event_id: UUID
    user_id: UUID
    status: BookingStatus


class BookingHeld(BookingEvent):
    """Seats are claimed, or are kept after a payment that did not succeed."""

    type: Literal["booking.held"] = "booking.held"
    seats: tuple[str, ...]
    quantities: dict[str, int]
    amount: int
    currency: Currency
    expires_at: AwareDatetime


class BookingPaying(BookingEvent):
    """A payment attempt is under way; the places stay claimed until it ends."""

    type: Literal["booking.paying"] = "booking.paying"


class BookingActionRequired(BookingEvent):
    """The buyer has to act at the payment provider."""

    type: Literal["booking.action_required"] = "booking.action_required"


class BookingOutcome(BookingEvent):
    """The booking saga has ended."""


class BookingConfirmed(BookingOutcome):
    """Paid, and the tickets are issued. An outcome."""

    type: Literal["booking.confirmed"] = "booking.confirmed"
    event_name: str
    starts_at: AwareDatetime
    event: EventSummary | None = None
    amount: int
    currency: Currency
    tickets: tuple[Ticket, ...]


class BookingCancelled(BookingOutcome):
    """Cancelled before it was paid. An outcome.

    Attributes:
        cause: `buyer`, or `event_cancelled` if the event was cancelled.
    """

    type: Literal["booking.cancelled"] = "booking.cancelled"
    cause: str = "buyer"
    event: EventSummary | None = None


class BookingExpired(BookingOutcome):
    """Not paid in time. An outcome."""

    type: Literal["booking.expired"] = "booking.expired"


class BookingFailed(BookingOutcome):
    """Could not be completed, and everything was undone; `reason` is a problem type. An outcome."""

    type: Literal["booking.failed"] = "booking.failed"
    reason: str
    event: EventSummary | None = None


class BookingNeedsAttention(BookingEvent):
    """A step keeps failing, and the saga waits for an operator; `step` is its name."""

    type: Literal["booking.needs_attention"] = "booking.needs_attention"
    step: str


class BookingReinstated(BookingEvent):
    """The payment of an expired booking arrived late: places are claimed again, perhaps others of equal value.

    Another outcome follows.
    """

    type: Literal["booking.reinstated"] = "booking.reinstated"
    seats: tuple[str, ...]
    quantities: dict[str, int]
    amount: int
    currency: Currency
    expires_at: AwareDatetime


class BookingRefunding(BookingEvent):
    """Tickets are void and their places are on sale again; the refund is under way.

    Attributes:
        tickets: Which tickets.
        amount: The refund; `fee` is the part of the tickets' price that is kept.
        cause: `buyer`, `staff`, `event_cancelled`, or `exchange` if it is for no ticket.
        by_provider: The part of the tickets' price that the provider had given back before, without our request.
    """

    type: Literal["booking.refunding"] = "booking.refunding"
    refund_id: UUID
    tickets: tuple[Ticket, ...]
    amount: int
    fee: int
    currency: Currency
    cause: str
    by_provider: int = 0


class BookingMoneyReturned(BookingEvent):
    """The buyer has the money of a refund for certain.

    Attributes:
        amount: The money of this refund; 0 if the tickets were free, or `fee` and `by_provider` are all of their price.
        refunded: The money of all refunds of the booking together.
        tickets: How many tickets it was for, whose `fee` is kept.
        cause: `buyer`, `staff`, `event_cancelled`; `exchange` or `provider` if it is for no ticket.
        by_provider: What the provider gave back in place of this refund, without our request.
    """

    refund_id: UUID
    event_name: str
    event: EventSummary | None = None
    amount: int
    fee: int = 0
    refunded: int
    tickets: int
    currency: Currency
    cause: str
    by_provider: int = 0


class BookingPartiallyRefunded(BookingMoneyReturned):
    """The booking has valid tickets left."""

    type: Literal["booking.partially_refunded"] = "booking.partially_refunded"


class BookingRefunded(BookingMoneyReturned):
    """All tickets of the booking are refunded."""

    type: Literal["booking.refunded"] = "booking.refunded"


class BookingDifferenceReturned(BookingMoneyReturned):
    """A seat was exchanged for a cheaper one, and the difference was refunded; all tickets stay valid."""

    type: Literal["booking.difference_returned"] = "booking.difference_returned"


class BookingRefundedByProvider(BookingMoneyReturned):
    """The provider gave money back without our request; the booking's state and its tickets do not change."""

    type: Literal["booking.refunded_by_provider"] = "booking.refunded_by_provider"


class BookingRefundTakenBack(BookingEvent):
    """A refund that was reported as paid has failed after all. It is made again, and reported again when it is paid.

    Attributes:
        returned_at: When the refund was reported as paid (UTC).
        was_refunded: The booking was `refunded`, and `booking.refunded` will follow again; False for an exchange.
        amount: The money that is owed again; `tickets` is how many tickets it is for.
        refunded: The money of all other refunds of the booking.
        cause: The cause of the refund.
    """

    type: Literal["booking.refund_taken_back"] = "booking.refund_taken_back"
    refund_id: UUID
    returned_at: AwareDatetime
    was_refunded: bool
    amount: int
    refunded: int
    tickets: int
    currency: Currency
    cause: str


class TicketExchanged(BookingEvent):
    """A ticket is void, and a ticket for another seat replaces it. The booking's state does not change.

    Attributes:
        amount: The extra charge for a more expensive seat, in minor units; else 0.
        returns: What goes back for a cheaper seat; else 0. `booking.difference_returned` follows once it has gone back.
        fee: The rest of the difference to a cheaper seat, which is kept by the event's refund policy; else 0.
    """

    type: Literal["booking.ticket_exchanged"] = "booking.ticket_exchanged"
    exchange_id: UUID
    event_name: str
    starts_at: AwareDatetime
    event: EventSummary | None = None
    old: Ticket
    new: Ticket
    amount: int
    returns: int
    fee: int = 0
    currency: Currency


class TicketExchangeFailed(BookingEvent):
    """An exchange failed after its buyer was sent to the payment provider. The ticket does not change.

    Attributes:
        reason: A problem type, such as `payment-declined`.
        ticket: The ticket that was not exchanged, and is valid.
        seat: The seat that the buyer wanted.
    """

    type: Literal["booking.exchange_failed"] = "booking.exchange_failed"
    exchange_id: UUID
    reason: str
    ticket: Ticket
    seat: str
    event: EventSummary


OUTCOME_TYPES = types_of(BookingOutcome)
REFUND_TYPES = types_of(BookingMoneyReturned)
(REFUNDING_TYPE,) = types_of(BookingRefunding)
(TAKEN_BACK_TYPE,) = types_of(BookingRefundTakenBack)
(EXCHANGE_TYPE,) = types_of(TicketExchanged)


class PaymentEvent(DomainEvent):
    """What happened to one payment attempt at its provider; `amount` is in minor units."""

    topic: ClassVar[str] = "payment.events"

    booking_id: UUID
    provider: str
    attempt: int
    amount: int
    currency: Currency


class PaymentAuthorized(PaymentEvent):
    """The provider has reserved the amount. No money has moved yet."""

    type: Literal["payment.authorized"] = "payment.authorized"


class PaymentWasDeclined(PaymentEvent):
    """The provider or the issuer has refused the payment; nothing is reserved.

    Attributes:
        code: The reason, as a decline code such as `insufficient_funds`.
    """

    type: Literal["payment.declined"] = "payment.declined"
    code: str


class PaymentCaptured(PaymentEvent):
    """The provider has taken the reserved money."""

    type: Literal["payment.captured"] = "payment.captured"


class PaymentVoided(PaymentEvent):
    """The provider has released the reserved money; the buyer is not charged."""

    type: Literal["payment.voided"] = "payment.voided"


class PaymentRefunded(PaymentEvent):
    """Captured money was refunded: all of it if a booking failed, `amount` if tickets were refunded.

    Attributes:
        refund_id: The buyer's refund; None if a failed booking was undone.
    """

    type: Literal["payment.refunded"] = "payment.refunded"
    refund_id: UUID | None = None


class PaymentRefundFailed(PaymentEvent):
    """A refund that the provider had reported as succeeded has failed after all: the money is owed again."""

    type: Literal["payment.refund_failed"] = "payment.refund_failed"
    refund_id: UUID


class LateSettlement(StrEnum):
    """The result of a payment that arrived after its booking had ended."""

    SAME_PLACES = "same_places"
    OTHER_SEATS = "other_seats"
    RETURNED = "returned"


class LatePaymentSettled(PaymentEvent):
    """A payment arrived after its booking or exchange had ended, and was settled.

    Attributes:
        seats: The buyer's seats, if there are any.
        exchange_id: The exchange that it was for; None if it was for the booking.
    """

    type: Literal["payment.late_settled"] = "payment.late_settled"
    user_id: UUID
    settlement: LateSettlement
    seats: tuple[str, ...] = ()
    exchange_id: UUID | None = None


class CatalogueEvent(DomainEvent):
    """A change of one event that is sold."""

    topic: ClassVar[str] = "catalogue.events"

    event_id: UUID


class EventPublished(CatalogueEvent):
    """An event is on sale; `version` grows with each change, for consumers that write versioned documents."""

    type: Literal["event.published"] = "event.published"
    version: int
    organizer_id: UUID
    name: str
    category: str
    venue: Venue
    starts_at: AwareDatetime
    timezone: TimeZone = Field(default_factory=zone_of_venue)
    currency: Currency
    sections: tuple[SectionOnSale, ...]


class EventCancelled(CatalogueEvent):
    """An event was cancelled; its sale has stopped."""

    type: Literal["event.cancelled"] = "event.cancelled"
    version: int


TOPICS = tuple(sorted({model.topic for model in DOMAIN_EVENTS.values()}))
