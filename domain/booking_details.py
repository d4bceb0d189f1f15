"""All that an answer shows of a booking: event, places and tickets with prices, what runs now, what the buyer does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field

from domain.bookings import PAID, Booking, BookingStatus, Ticket
from domain.exchanges import ExchangeState
from domain.problems import ProblemType
from domain.seats import SeatName
from domain.time_zones import DEFAULT, TimeZone, on_clock

_S = BookingStatus
_HAS_TICKETS = PAID | {_S.NEEDS_ATTENTION}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class EventOfBooking(_Frozen):
    """The event of a booking, with its venue and the venue's clock."""

    name: str
    venue: str | None = Field(
        description="The venue's name; null for an event that was published with version 0.1.0 and not copied since."
    )
    city: str | None
    country: str | None = Field(description="ISO 3166-1 alpha-2")
    starts_at: AwareDatetime = Field(description="UTC")
    timezone: TimeZone = DEFAULT
    status: Literal["on_sale", "cancelled"]

    @computed_field(description="When it begins on the venue's clock, with the offset from UTC.")
    def starts_at_local(self) -> AwareDatetime:
        """When it begins, on the venue's clock."""
        return on_clock(self.starts_at, self.timezone)


class Place(_Frozen):
    """Places that the booking has: a seat, or a number of places in a general-admission section."""

    section: str
    seat: str | None
    quantity: int = Field(description="How many places; 1 for a seat.")
    price: int = Field(description="Minor units for each place.")


class ValidTicket(Ticket):
    """A ticket that admits to the event."""

    price: int = Field(description="Minor units.")
    status: Literal["valid"] = "valid"


class VoidTicket(Ticket):
    """A ticket that does not admit any more."""

    price: int = Field(description="Minor units.")
    status: Literal["void"] = "void"
    cause: Literal["refund", "exchange"]
    refund_id: UUID | None = Field(description="The refund that made it void; null for an exchange.")


class UnderWay(_Frozen):
    """The payment, refund or exchange that runs now, or that waits for the buyer or for our support."""

    kind: Literal["payment", "refund", "exchange", "support"] = Field(
        description="`support`: a step failed, and our support completes it or undoes it."
    )
    id: UUID | None = Field(default=None, description="The refund or the exchange.")


class NextAction(_Frozen):
    """What the buyer has to do for the booking to go on."""

    type: Literal["pay", "redirect_to_url"] = Field(
        description="`pay`: pay for the held places. `redirect_to_url`: send the buyer's browser to `url`."
    )
    url: str | None = Field(default=None, description="Where to send the buyer, for `redirect_to_url`.")
    until: AwareDatetime | None = Field(default=None, description="When the places are released (UTC), for `pay`.")


class PaymentFailure(_Frozen):
    """Why the last payment failed."""

    type: ProblemType = Field(description="The last part of the problem's type.")
    detail: str = Field(description="The cause, for a person.")
    code: str | None = Field(default=None, description="The provider's code, such as `insufficient_funds`.")


class BookingDetails(Booking):
    """A booking as its buyer sees it; every answer about a booking has this form."""

    seats: tuple[str, ...] = Field(
        default=(), description="The seats that it has; of a booking that ended unpaid, those that it was for."
    )
    quantities: dict[str, int] = Field(default={}, description="Places of general-admission sections, as `seats`.")
    event: EventOfBooking = Field(description="The event that it is for.")
    places: tuple[Place, ...] = Field(description="The same places as `seats` and `quantities`, with prices.")
    tickets: tuple[ValidTicket, ...] = ()
    void_tickets: tuple[VoidTicket, ...] = Field(
        default=(),
        description="Tickets that were given back or exchanged, of the latter the newest 20. They are apart, so that "
        "no client shows them.",
    )
    under_way: UnderWay | None = Field(default=None, description="What runs or waits now; null if nothing does.")
    next_action: NextAction | None = Field(
        default=None, description="What the buyer has to do now; null where there is nothing to do."
    )
    payment_failure: PaymentFailure | None = Field(
        default=None, description="Why the last payment failed; null if it did not."
    )


class IssuedTicket(Ticket):
    """A ticket with its state; `refund_id` is the refund that voided it."""

    status: Literal["valid", "void"]
    refund_id: UUID | None = None


class ExchangeUnderWay(_Frozen):
    """An exchange that has not ended."""

    id: UUID
    state: ExchangeState
    action_url: str | None = None


class BookingFacts(_Frozen):
    """What is stored about a booking beside its own state.

    Attributes:
        prices: Minor units of a place, by section.
        refund_id: The refund that is under way.
        payment_problem: Why the last payment failed, as the problem's JSON.
    """

    event: EventOfBooking
    prices: Mapping[str, int]
    tickets: tuple[IssuedTicket, ...] = ()
    refund_id: UUID | None = None
    exchange: ExchangeUnderWay | None = None
    action_url: str | None = None
    payment_problem: Mapping[str, Any] | None = None


def describe(booking: Booking, facts: BookingFacts) -> BookingDetails:
    """The booking with all that is known about it."""
    tickets = facts.tickets if booking.status in _HAS_TICKETS else ()
    valid = [each for each in tickets if each.status == "valid"]
    seats, quantities = _left(booking, valid) if tickets else (booking.seats, booking.quantities)
    about = booking.model_dump(exclude={"seats", "quantities", "tickets"})
    return BookingDetails(
        **about,
        seats=seats,
        quantities=quantities,
        event=facts.event,
        places=tuple(_places(seats, quantities, facts.prices)),
        tickets=tuple(
            ValidTicket(id=each.id, section=each.section, seat=each.seat, price=facts.prices[each.section])
            for each in valid
        ),
        void_tickets=tuple(_void(each, facts.prices) for each in tickets if each.status == "void"),
        under_way=_under_way(booking, facts),
        next_action=_next_action(booking, facts),
        payment_failure=_failure(facts.payment_problem) if booking.version > 1 else None,
    )


def _left(booking: Booking, valid: list[IssuedTicket]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The places of a paid booking: those for which it has a valid ticket."""
    kept = {each.seat for each in valid}
    general = Counter(each.section for each in valid if each.seat is None)
    return tuple(seat for seat in booking.seats if seat in kept), dict(sorted(general.items()))


def _places(seats: tuple[str, ...], quantities: Mapping[str, int], prices: Mapping[str, int]) -> Iterator[Place]:
    for seat in seats:
        section = SeatName.parse(seat).section
        yield Place(section=section, seat=seat, quantity=1, price=prices[section])
    for section, quantity in quantities.items():
        yield Place(section=section, seat=None, quantity=quantity, price=prices[section])


def _void(ticket: IssuedTicket, prices: Mapping[str, int]) -> VoidTicket:
    return VoidTicket(
        id=ticket.id,
        section=ticket.section,
        seat=ticket.seat,
        price=prices[ticket.section],
        cause="refund" if ticket.refund_id else "exchange",
        refund_id=ticket.refund_id,
    )


def _under_way(booking: Booking, facts: BookingFacts) -> UnderWay | None:
    if booking.status is _S.NEEDS_ATTENTION:
        return UnderWay(kind="support")
    if booking.status in (_S.PAYING, _S.ACTION_REQUIRED):
        return UnderWay(kind="payment")
    if booking.status is _S.REFUNDING:
        return UnderWay(kind="refund", id=facts.refund_id)
    if booking.status in PAID and facts.exchange:
        return UnderWay(kind="exchange", id=facts.exchange.id)
    return None


def _next_action(booking: Booking, facts: BookingFacts) -> NextAction | None:
    if booking.status is _S.HELD:
        return NextAction(type="pay", until=booking.expires_at)
    if booking.status is _S.ACTION_REQUIRED:
        return _redirect(facts.action_url)
    if booking.status in PAID and facts.exchange:
        return _redirect(facts.exchange.action_url)
    return None


def _redirect(url: str | None) -> NextAction | None:
    """None while the provider decides, and needs no buyer."""
    return NextAction(type="redirect_to_url", url=url) if url else None


def _failure(problem: Mapping[str, Any] | None) -> PaymentFailure | None:
    if problem is None:
        return None
    return PaymentFailure(
        type=ProblemType(problem["type"]), detail=problem["detail"], code=problem.get("members", {}).get("code")
    )
