"""What happened, as other services learn of it: one model per type, each with its JSON Schema checked in.

`event` alone is what is on sale; these are domain events. They carry user ids, never names or addresses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.bookings import BookingStatus, Ticket
from domain.domain_event_registry import DOMAIN_EVENTS as DOMAIN_EVENTS
from domain.domain_event_registry import AnyDomainEvent as AnyDomainEvent
from domain.domain_event_registry import DomainEvent as DomainEvent
from domain.domain_event_registry import types_of
from domain.money import Currency


class BookingEvent(DomainEvent):
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
    """A payment attempt is under way; the claim outlasts it."""

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
    amount: int
    currency: Currency
    tickets: tuple[Ticket, ...]


class BookingCancelled(BookingOutcome):
    """The buyer let go before paying. An outcome."""

    type: Literal["booking.cancelled"] = "booking.cancelled"


class BookingExpired(BookingOutcome):
    """Not paid in time. An outcome."""

    type: Literal["booking.expired"] = "booking.expired"


class BookingFailed(BookingOutcome):
    """Could not be completed, and everything was undone. An outcome.

    Attributes:
        reason: A problem type, such as `seats-unavailable`.
    """

    type: Literal["booking.failed"] = "booking.failed"
    reason: str


class BookingNeedsAttention(BookingEvent):
    """An undo keeps failing: an operator has to look.

    Attributes:
        step: The step that failed.
    """

    type: Literal["booking.needs_attention"] = "booking.needs_attention"
    step: str


class BookingReinstated(BookingEvent):
    """The money of a booking that had expired has turned up: places are claimed again, perhaps others of equal worth.

    Another outcome follows.
    """

    type: Literal["booking.reinstated"] = "booking.reinstated"
    seats: tuple[str, ...]
    quantities: dict[str, int]
    amount: int
    currency: Currency
    expires_at: AwareDatetime


class BookingRefunding(BookingEvent):
    """Tickets are void and their places are on sale again; the money is on its way.

    Attributes:
        tickets: Which tickets.
        amount: What goes back; `fee` is what is kept of the tickets' price.
        cause: `buyer`, `staff`, `event_cancelled`, or `exchange` where it is for no ticket.
    """

    type: Literal["booking.refunding"] = "booking.refunding"
    refund_id: UUID
    tickets: tuple[Ticket, ...]
    amount: int
    fee: int
    currency: Currency
    cause: str


class BookingMoneyReturned(BookingEvent):
    """The money of a refund has gone back for certain.

    Attributes:
        amount: What has gone back by this refund.
        refunded: What has gone back by all refunds of the booking together.
        tickets: How many tickets it was for.
        cause: `buyer`, `staff`, `event_cancelled`, or `exchange` where it is for no ticket.
    """

    refund_id: UUID
    event_name: str
    amount: int
    refunded: int
    tickets: int
    currency: Currency
    cause: str


class BookingPartiallyRefunded(BookingMoneyReturned):
    """The booking has valid tickets left."""

    type: Literal["booking.partially_refunded"] = "booking.partially_refunded"


class BookingRefunded(BookingMoneyReturned):
    """All tickets of the booking are given back."""

    type: Literal["booking.refunded"] = "booking.refunded"


class BookingDifferenceReturned(BookingMoneyReturned):
    """A seat was exchanged for a cheaper one, and the difference has gone back; all tickets stay valid."""

    type: Literal["booking.difference_returned"] = "booking.difference_returned"


class BookingRefundTakenBack(BookingEvent):
    """A refund that was told to have gone back has failed after all; it is made again, and told when it has gone back.

    Attributes:
        returned_at: When it was told (UTC), by whichever type.
        was_refunded: The booking was `refunded`, and `booking.refunded` will tell so again; False for an exchange.
        amount: What is with us again; `tickets` is how many it is for.
        refunded: What has gone back by all other refunds of the booking.
        cause: The refund's.
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
    """A ticket is void, and another one for another seat is issued in its place; the booking's state is as it was.

    Attributes:
        amount: What was charged for the dearer seat, in minor units; else 0.
        returns: What will go back for the cheaper seat, in minor units; else 0. `booking.difference_returned` tells of
            the money itself.
    """

    type: Literal["booking.ticket_exchanged"] = "booking.ticket_exchanged"
    exchange_id: UUID
    event_name: str
    starts_at: AwareDatetime
    old: Ticket
    new: Ticket
    amount: int
    returns: int
    currency: Currency


OUTCOME_TYPES = types_of(BookingOutcome)
REFUND_TYPES = types_of(BookingMoneyReturned)
(TAKEN_BACK_TYPE,) = types_of(BookingRefundTakenBack)
(EXCHANGE_TYPE,) = types_of(TicketExchanged)


class PaymentEvent(DomainEvent):
    topic: ClassVar[str] = "payment.events"

    booking_id: UUID
    provider: str
    attempt: int
    amount: int
    currency: Currency


class PaymentAuthorized(PaymentEvent):
    type: Literal["payment.authorized"] = "payment.authorized"


class PaymentWasDeclined(PaymentEvent):
    type: Literal["payment.declined"] = "payment.declined"
    code: str


class PaymentCaptured(PaymentEvent):
    type: Literal["payment.captured"] = "payment.captured"


class PaymentVoided(PaymentEvent):
    type: Literal["payment.voided"] = "payment.voided"


class PaymentRefunded(PaymentEvent):
    """Money that was taken has gone back: all of it where a booking failed, `amount` where tickets were given back.

    Attributes:
        refund_id: The buyer's refund; None where a booking was undone.
    """

    type: Literal["payment.refunded"] = "payment.refunded"
    refund_id: UUID | None = None


class PaymentRefundFailed(PaymentEvent):
    """A refund that the provider had called succeeded has failed after all: the money is with us again, and owed."""

    type: Literal["payment.refund_failed"] = "payment.refund_failed"
    refund_id: UUID


class LateSettlement(StrEnum):
    """What became of money that turned up when nobody waited for it any more."""

    SAME_PLACES = "same_places"
    OTHER_SEATS = "other_seats"
    RETURNED = "returned"


class LatePaymentSettled(PaymentEvent):
    """Money turned up late, and this became of it.

    Attributes:
        seats: Where the buyer now sits, if anywhere.
    """

    type: Literal["payment.late_settled"] = "payment.late_settled"
    user_id: UUID
    settlement: LateSettlement
    seats: tuple[str, ...] = ()


class SectionOnSale(BaseModel):
    """A section as search and analytics need it; `price` in minor units."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["seated", "general"]
    price: int
    capacity: int


class Venue(BaseModel):
    """Where an event takes place; latitude and longitude in degrees (WGS 84)."""

    model_config = ConfigDict(frozen=True)

    name: str
    city: str
    country: str
    latitude: float
    longitude: float


class CatalogueEvent(DomainEvent):
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
    currency: Currency
    sections: tuple[SectionOnSale, ...]


class EventCancelled(CatalogueEvent):
    """An event was called off; nothing of it is sold any more."""

    type: Literal["event.cancelled"] = "event.cancelled"
    version: int


class UserEvent(DomainEvent):
    topic: ClassVar[str] = "identity.events"

    user_id: UUID


class UserRegistered(UserEvent):
    type: Literal["user.registered"] = "user.registered"


class UserAskedForToken(UserEvent):
    """A token is to be mailed; identity tells the token itself to our mailer alone."""

    token_id: UUID


class UserAskedForVerification(UserAskedForToken):
    """The person's address is to be proven."""

    type: Literal["user.asked_for_verification"] = "user.asked_for_verification"


class UserAskedForPasswordReset(UserAskedForToken):
    """Somebody, who may be somebody else, has forgotten the account's password."""

    type: Literal["user.asked_for_password_reset"] = "user.asked_for_password_reset"


class UserPasswordChanged(UserEvent):
    """The account has another password, and all its sessions have ended."""

    type: Literal["user.password_changed"] = "user.password_changed"


class UserErased(UserEvent):
    """Nothing is left of the person but the id."""

    type: Literal["user.erased"] = "user.erased"


TOPICS = tuple(sorted({model.topic for model in DOMAIN_EVENTS.values()}))
