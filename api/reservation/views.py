"""What the reservation service answers, where it is more than one object of the domain."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, WithJsonSchema

from domain.booking_details import BookingDetails
from domain.bookings import Booking
from domain.domain_events import DOMAIN_EVENTS, BookingEvent
from domain.exchanges import Exchange, ExchangeState
from domain.money import Currency
from domain.problems import ProblemType
from domain.refunds import Refund
from temporal.timeline import TimelineEntry


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Redirect(_View):
    """What the buyer has to do before the payment can go on."""

    type: Literal["redirect_to_url"] = Field(description="Send the buyer's browser to `url`.")
    url: str = Field(description="The payment provider's page, such as that of 3-D Secure.")


class BookingPage(_View):
    """A page of bookings, newest first."""

    bookings: list[BookingDetails] = Field(description="The bookings of this page.")
    next_cursor: UUID | None = Field(description="Send it as `cursor` to read the next page; null on the last one.")


class RefundList(_View):
    """All refunds of a booking."""

    refunds: list[Refund] = Field(description="Oldest first.")


class Failure(_View):
    """Why an exchange failed."""

    type: ProblemType = Field(description="The last part of the problem's type.")
    detail: str = Field(description="The cause, for a person.")


class ExchangeView(_View):
    """An exchange as its buyer sees it."""

    id: UUID = Field(description="The exchange's id.")
    booking_id: UUID
    state: ExchangeState = Field(description="How far it has come; `completed` and `failed` are final.")
    ticket: UUID = Field(description="The ticket that is exchanged.")
    old_seat: str = Field(description="The seat of that ticket.")
    seat: str = Field(description="The new seat.")
    new_ticket: UUID | None = Field(description="The ticket for the new seat, once it is issued.")
    difference: int = Field(
        description="The new seat's price less the old seat's, in minor units; negative for a cheaper seat."
    )
    returns: int = Field(description="Minor units of a negative difference that go back by the event's refund policy.")
    fee: int = Field(description="The rest of a negative difference, which is kept.")
    currency: Currency
    refund_id: UUID | None = Field(description="The refund of what goes back, if anything does.")
    needs_attention: bool = Field(description="Whether the exchange waits for our support.")
    created_at: AwareDatetime = Field(description="When it was started (UTC).")
    settled_at: AwareDatetime | None = Field(description="When it completed or failed (UTC).")
    next_action: Redirect | None = Field(description="What the buyer has to do now, if anything.")
    failure: Failure | None = Field(description="Why it failed, if it did.")

    @classmethod
    def of(cls, exchange: Exchange) -> ExchangeView:
        """The view of an exchange."""
        return cls.model_validate(exchange.answer())


class ExchangeList(_View):
    """All exchanges of a booking."""

    exchanges: list[ExchangeView] = Field(description="Oldest first.")


def _schema_of_data() -> dict[str, Any]:
    models = [model.__name__ for model in DOMAIN_EVENTS.values() if issubclass(model, BookingEvent)]
    return {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in sorted(models)]}


# Shown as it was stored, perhaps by an earlier release: so it is described, and not checked again.
_EventData = Annotated[dict[str, Any], WithJsonSchema(_schema_of_data())]


class DomainEventView(_View):
    """A domain event of a booking."""

    sequence: int = Field(description="1, 2, 3 … without gaps.")
    type: str = Field(description="Its name, such as `booking.confirmed`.", examples=["booking.confirmed"])
    data: _EventData = Field(description="What happened; which fields there are depends on `type`.")
    occurred_at: AwareDatetime = Field(description="When it happened (UTC).")


class RefundTimeline(_View):
    """A refund with the steps of its workflow."""

    refund: Refund = Field(description="The refund as it is now.")
    steps: list[TimelineEntry] = Field(description="In order; empty after Temporal's retention time.")


class ExchangeTimeline(_View):
    """An exchange with the steps of its workflow."""

    exchange: ExchangeView = Field(description="The exchange as it is now.")
    steps: list[TimelineEntry] = Field(description="In order; empty after Temporal's retention time.")


class Timeline(_View):
    """Everything that happened to a booking."""

    booking: Booking = Field(description="The booking as it is now.")
    steps: list[TimelineEntry] = Field(description="The booking's own steps, in order.")
    refunds: list[RefundTimeline] = Field(description="Its refunds, oldest first.")
    exchanges: list[ExchangeTimeline] = Field(description="Its exchanges, oldest first.")
    domain_events: list[DomainEventView] = Field(description="What was published about it, in order: the newest 500.")
