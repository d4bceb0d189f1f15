"""The payment service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, MetaData, text
from sqlalchemy.orm import Mapped, mapped_column

from db.outbox import DomainEventColumns, OutboxColumns, ServiceBase


class Base(ServiceBase):
    __abstract__ = True
    metadata = MetaData()


class DomainEventRow(DomainEventColumns, Base):
    pass


class OutboxRow(OutboxColumns, Base):
    pass


class AttemptRow(Base):
    """One attempt to take a booking's money. `keys_minted` counts the idempotency keys that proved to be spent."""

    __tablename__ = "attempts"

    booking_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=text("'open'"))
    intent_id: Mapped[str | None]
    decline_code: Mapped[str | None]
    keys_minted: Mapped[int] = mapped_column(server_default=text("0"))
    opened_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    closed_at: Mapped[datetime | None]


class RefundRow(Base):
    """One try to give money back for a refund. `keys_minted` counts the idempotency keys that proved to be spent."""

    __tablename__ = "refunds"
    __table_args__ = (ForeignKeyConstraint(["booking_id", "attempt"], ["attempts.booking_id", "attempts.number"]),)

    refund_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID]
    attempt: Mapped[int]
    amount: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=text("'open'"))
    code: Mapped[str | None]
    keys_minted: Mapped[int] = mapped_column(server_default=text("0"))
    opened_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    settled_at: Mapped[datetime | None]
