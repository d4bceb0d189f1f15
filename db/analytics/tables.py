"""The analytics service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from db.outbox import ServiceBase


class Base(ServiceBase):
    """The base of the analytics tables; its metadata holds no other service's tables."""

    __abstract__ = True


class InboxRow(Base):
    """A domain event whose effect is in this database, written in the same transaction."""

    __tablename__ = "inbox"

    consumer: Mapped[str] = mapped_column(primary_key=True)
    domain_event_id: Mapped[UUID] = mapped_column(primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class EventRow(Base):
    """An event in its newest version that arrived; 0 if only its cancellation did. Its sales may arrive first."""

    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(server_default=text("0"))
    organizer_id: Mapped[UUID | None]
    name: Mapped[str | None]
    starts_at: Mapped[datetime | None]
    cancelled: Mapped[bool] = mapped_column(server_default=text("false"))


class SalesRow(Base):
    """An event's sales; `revenue` in minor units."""

    __tablename__ = "sales"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    bookings: Mapped[int] = mapped_column(BigInteger)
    tickets: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[int] = mapped_column(BigInteger)


class DailySalesRow(Base):
    """An event's sales of one day (UTC)."""

    __tablename__ = "daily_sales"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    bookings: Mapped[int] = mapped_column(BigInteger)
    tickets: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[int] = mapped_column(BigInteger)


class DailyRefundsRow(Base):
    """An event's refunds of one day (UTC); `amount` in minor units."""

    __tablename__ = "daily_refunds"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    refunds: Mapped[int] = mapped_column(BigInteger)
    tickets: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[int] = mapped_column(BigInteger)
