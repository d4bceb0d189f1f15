"""The payment service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Identity, MetaData, text
from sqlalchemy.orm import Mapped, mapped_column

from db.outbox import DomainEventColumns, OutboxColumns, ServiceBase


class Base(ServiceBase):
    """The base of the payment service's tables; its metadata holds no other service's tables."""

    __abstract__ = True
    metadata = MetaData()


class DomainEventRow(DomainEventColumns, Base):
    """The log of this service's domain events."""


class OutboxRow(OutboxColumns, Base):
    """The outbox of this service; its relay publishes the rows."""


class AttemptRow(Base):
    """One attempt to charge for a booking, or for an exchange of one of its seats.

    `keys_minted` counts the idempotency keys that proved to be spent, `captures_asked` how often a capture was begun;
    `deadline` is that of the command that opened it. A `watched` attempt is closed or abandoned, and a workflow of its
    own waits for a payment that may still arrive.
    """

    __tablename__ = "attempts"

    booking_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    exchange_id: Mapped[UUID | None]
    provider: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=text("'open'"))
    intent_id: Mapped[str | None]
    action_url: Mapped[str | None]
    decline_code: Mapped[str | None]
    keys_minted: Mapped[int] = mapped_column(server_default=text("0"))
    captures_asked: Mapped[int] = mapped_column(server_default=text("0"))
    deadline: Mapped[datetime | None]
    opened_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    closed_at: Mapped[datetime | None]
    watched: Mapped[bool] = mapped_column(server_default=text("false"))


class WebhookRow(Base):
    """A provider's message, stored once for all deliveries; `course` is the action of the first delivery."""

    __tablename__ = "webhooks"

    provider: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    intent_id: Mapped[str | None]
    booking_id: Mapped[UUID | None]
    course: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class RefundRow(Base):
    """One try of a refund, or of its part at one attempt.

    `keys_minted` counts the idempotency keys that proved to be spent. `asked_at` is just before the latest request;
    only at a provider without idempotency keys.
    """

    __tablename__ = "refunds"
    __table_args__ = (ForeignKeyConstraint(["booking_id", "attempt"], ["attempts.booking_id", "attempts.number"]),)

    refund_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID]
    attempt: Mapped[int]
    amount: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(server_default=text("'open'"))
    code: Mapped[str | None]
    keys_minted: Mapped[int] = mapped_column(server_default=text("0"))
    asked_at: Mapped[datetime | None]
    opened_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    settled_at: Mapped[datetime | None]


class LedgerTransactionRow(Base):
    """One movement of money; `reference` names the attempt, the refund's try or, for a fee, the provider's entry."""

    __tablename__ = "ledger_transactions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    provider: Mapped[str]
    reference: Mapped[str]
    kind: Mapped[str]
    booking_id: Mapped[UUID]
    attempt: Mapped[int]
    booked_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class LedgerEntryRow(Base):
    """One account's part in a movement: debits are positive, credits negative, in minor units."""

    __tablename__ = "ledger_entries"

    transaction_id: Mapped[int] = mapped_column(ForeignKey("ledger_transactions.id"), primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)


class LedgerRouteRow(Base):
    """What a kind of movement does to an account: debit 1, credit -1."""

    __tablename__ = "ledger_routes"

    kind: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    sign: Mapped[int]


class ProviderMovementRow(Base):
    """One line of a provider's report of a day, as of `kept_at`; without a booking it is unknown."""

    __tablename__ = "provider_movements"

    provider: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date]
    booking_id: Mapped[UUID | None]
    intent_id: Mapped[str | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    happened_at: Mapped[datetime]
    kept_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class DifferenceRow(Base):
    """A difference between ledger and provider; resolved when a later run does not find it again."""

    __tablename__ = "reconciliation_differences"

    provider: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    ours: Mapped[str]
    theirs: Mapped[str]
    found_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    seen_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    resolved_at: Mapped[datetime | None]


class ReconciledDayRow(Base):
    """A reconciled day of a provider; `finished_at` is the latest run."""

    __tablename__ = "reconciled_days"

    provider: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    finished_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
