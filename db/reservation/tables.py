"""The reservation service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from db.outbox import DomainEventColumns, OutboxColumns, ServiceBase


class Base(ServiceBase):
    """The base of the reservation service's tables; its metadata holds no other service's tables."""

    __abstract__ = True
    metadata = MetaData()


class DomainEventRow(DomainEventColumns, Base):
    """The log of this service's domain events."""


class OutboxRow(OutboxColumns, Base):
    """The outbox of this service; its relay publishes the rows."""


class EventRow(Base):
    """An event on sale: the copy from its publication. The catalogue is not read again.

    Its payment providers pay and refund only multiples of `amount_step`, in minor units. Zone and venue are null where
    the copy was made before they were copied; `seatwright migrate` adds them.
    """

    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organizer_id: Mapped[UUID]
    name: Mapped[str]
    starts_at: Mapped[datetime]
    timezone: Mapped[str | None]
    venue_name: Mapped[str | None]
    venue_city: Mapped[str | None]
    venue_country: Mapped[str | None]
    currency: Mapped[str]
    hold_seconds: Mapped[int]
    status: Mapped[str]
    refund_until_hours: Mapped[int | None] = mapped_column(server_default=text("0"))
    refund_fee_percent: Mapped[int] = mapped_column(server_default=text("0"))
    refund_fee_fixed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    exchange_until_hours: Mapped[int | None] = mapped_column(server_default=text("0"))
    providers: Mapped[list[str] | None] = mapped_column(ARRAY(TEXT))
    amount_step: Mapped[int] = mapped_column(server_default=text("1"))


class SectionRow(Base):
    """A part of the venue with one price; `position` is the organizer's order.

    `claimed` counts claimed and sold places of a general-admission section.
    """

    __tablename__ = "sections"

    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    price: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int | None]
    seats_per_row: Mapped[int | None]
    capacity: Mapped[int]
    claimed: Mapped[int] = mapped_column(server_default=text("0"))
    position: Mapped[int] = mapped_column(server_default=text("0"))


class BookingEdgeRow(Base):
    """A legal change of a booking's state, as in `domain.bookings.EDGES`; a trigger refuses any other."""

    __tablename__ = "booking_edges"

    from_status: Mapped[str] = mapped_column(primary_key=True)
    to_status: Mapped[str] = mapped_column(primary_key=True)


class BookingRow(Base):
    """A booking; `version` is the sequence of its latest domain event.

    `cancel_asked_at` stops a payment whose saga is busy with a step and cannot receive the buyer's cancel;
    `tickets_forbidden` stops an old worker while the payment is being returned. `action_url` is the provider's page
    while the status is `action_required`; `payment_problem` is why the last payment failed, and
    `payment_command` the update that ordered it.
    """

    __tablename__ = "bookings"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id"))
    status: Mapped[str]
    seats: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    quantities: Mapped[dict[str, Any]]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    body_sha256: Mapped[str]
    accept_alternatives: Mapped[bool] = mapped_column(server_default=text("false"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    refunded: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    expires_at: Mapped[datetime]
    cancel_asked_at: Mapped[datetime | None]
    tickets_forbidden: Mapped[bool] = mapped_column(server_default=text("false"))
    action_url: Mapped[str | None]
    payment_problem: Mapped[dict[str, Any] | None]
    payment_command: Mapped[str | None]
    payment_body_sha256: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class SeatRow(Base):
    """One seat of one event and its one owner; `version` grows with every change of hands."""

    __tablename__ = "seats"
    __table_args__ = (ForeignKeyConstraint(["event_id", "section"], ["sections.event_id", "sections.name"]),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    section: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'available'"))
    booking_id: Mapped[UUID | None] = mapped_column(ForeignKey("bookings.id"))
    version: Mapped[int] = mapped_column(server_default=text("0"))


class GeneralClaimRow(Base):
    """How many places of a general-admission section a live booking has."""

    __tablename__ = "general_claims"
    __table_args__ = (ForeignKeyConstraint(["event_id", "section"], ["sections.event_id", "sections.name"]),)

    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), primary_key=True)
    section: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    quantity: Mapped[int]
    status: Mapped[str]


class TicketRow(Base):
    """A ticket for one place; `ordinal` numbers a booking's tickets, and `refund_id` is the refund that voided it."""

    __tablename__ = "tickets"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    event_id: Mapped[UUID]
    section: Mapped[str]
    seat: Mapped[str | None]
    ordinal: Mapped[int]
    status: Mapped[str] = mapped_column(server_default=text("'valid'"))
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refunds.id"))
    issued_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PendingRedisUpdateRow(Base):
    """A booking whose end is not in Redis yet."""

    __tablename__ = "pending_redis_updates"

    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), primary_key=True)


class RefundRow(Base):
    """A refund of tickets. The buyer gets `amount`, `fee` is kept; both in minor units.

    `reason` has the platform's own words. A person's are in `sealed_reason`, under the key of the booking's buyer.
    """

    __tablename__ = "refunds"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    requested_by: Mapped[UUID]
    cause: Mapped[str]
    reason: Mapped[str]
    sealed_reason: Mapped[str | None]
    body_sha256: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    amount: Mapped[int] = mapped_column(BigInteger)
    fee: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    settled_at: Mapped[datetime | None]


class ExchangeRow(Base):
    """An exchange of a ticket's seat. The booking has a claim on `seat` while the exchange is under way.

    `difference` is the difference in price, in minor units. Of a negative one, `returns` goes back by the refund
    `refund_id`, and `fee` is kept.
    """

    __tablename__ = "exchanges"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    requested_by: Mapped[UUID]
    ticket: Mapped[UUID] = mapped_column(ForeignKey("tickets.id"))
    old_seat: Mapped[str]
    seat: Mapped[str]
    new_ticket: Mapped[UUID | None] = mapped_column(ForeignKey("tickets.id"))
    difference: Mapped[int] = mapped_column(BigInteger)
    returns: Mapped[int] = mapped_column(BigInteger)
    fee: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refunds.id"))
    body_sha256: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    needs_attention: Mapped[bool] = mapped_column(server_default=text("false"))
    action_url: Mapped[str | None]
    problem: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    settled_at: Mapped[datetime | None]


class CancellationRow(Base):
    """A cancelled event whose bookings are released or refunded; `report` has the result.

    The report is stored at `finished_at`, when only operators can do more. At `over_at` nothing is left to do.
    `needs_attention` while some of its refunds come to nothing, round after round.
    """

    __tablename__ = "cancellations"

    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id"), primary_key=True)
    requested_by: Mapped[UUID]
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    paused: Mapped[bool] = mapped_column(server_default=text("false"))
    needs_attention: Mapped[bool] = mapped_column(server_default=text("false"))
    finished_at: Mapped[datetime | None]
    over_at: Mapped[datetime | None]
    report: Mapped[dict[str, Any] | None]
