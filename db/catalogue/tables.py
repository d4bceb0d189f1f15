"""The catalogue service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKey, MetaData, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from db.creation_keys import CreationKeyColumns
from db.outbox import DomainEventColumns, OutboxColumns, ServiceBase


class Base(ServiceBase):
    """The base of the catalogue's tables; its metadata holds no other service's tables."""

    __abstract__ = True
    metadata = MetaData()


class DomainEventRow(DomainEventColumns, Base):
    """The log of this service's domain events."""


class OutboxRow(OutboxColumns, Base):
    """The outbox of this service; its relay publishes the rows."""


class CreationKeyRow(CreationKeyColumns, Base):
    """The events that idempotency keys have drafted."""


class EventRow(Base):
    """An event. `version` grows with each change; `published_at` stays when it is cancelled."""

    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    organizer_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(server_default=text("'draft'"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    name: Mapped[str]
    category: Mapped[str]
    venue_name: Mapped[str]
    venue_city: Mapped[str]
    venue_country: Mapped[str]
    venue_latitude: Mapped[float]
    venue_longitude: Mapped[float]
    starts_at: Mapped[datetime]
    timezone: Mapped[str] = mapped_column(server_default=text("'UTC'"))
    currency: Mapped[str]
    hold_seconds: Mapped[int]
    refund_until_hours: Mapped[int | None] = mapped_column(server_default=text("0"))
    refund_fee_percent: Mapped[int] = mapped_column(server_default=text("0"))
    refund_fee_fixed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    exchange_until_hours: Mapped[int | None] = mapped_column(server_default=text("0"))
    providers: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    published_at: Mapped[datetime | None]


class SectionRow(Base):
    """A part of the venue with one price, in the organizer's order."""

    __tablename__ = "sections"

    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    kind: Mapped[str]
    price: Mapped[int] = mapped_column(BigInteger)
    capacity: Mapped[int]
    rows: Mapped[int | None]
    seats_per_row: Mapped[int | None]
