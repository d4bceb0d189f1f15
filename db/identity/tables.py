"""The identity service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from db.outbox import DomainEventColumns, OutboxColumns, ServiceBase


class Base(ServiceBase):
    __abstract__ = True
    metadata = MetaData()


class DomainEventRow(DomainEventColumns, Base):
    pass


class OutboxRow(OutboxColumns, Base):
    pass


class UserRow(Base):
    """An account. `email` and `name` are read and written in `db.identity.accounts` alone."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class SessionRow(Base):
    """One log-in and all refresh tokens that came of it: a family, which ends as a whole.

    `device` is personal: sealed under its owner's key.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_used_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    device: Mapped[bytes | None] = mapped_column(LargeBinary)
    ended_at: Mapped[datetime | None]


class RefreshTokenRow(Base):
    """A refresh token, by its SHA-256 only; it can be used once."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
