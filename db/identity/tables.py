"""The identity service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
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
    """One log-in and all refresh tokens that came of it: a family, which ends as a whole."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class RefreshTokenRow(Base):
    """A refresh token, by its SHA-256 only; it can be used once."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SigningKeyRow(Base):
    """A key that signs tokens; its private part is encrypted."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    public: Mapped[dict[str, Any]] = mapped_column(JSONB())
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    signs_from: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class RevocationRow(Base):
    """Something that access tokens name and that has ended; written by triggers and by `revoke()`."""

    __tablename__ = "revocations"

    subject: Mapped[UUID] = mapped_column(primary_key=True)
    revoked_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class TeamRow(Base):
    """Organizers who sell together."""

    __tablename__ = "teams"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class TeamMemberRow(Base):
    """A person's part in a team."""

    __tablename__ = "team_members"

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str]


class ClientRow(Base):
    """An application of others; without a secret it is a public one."""

    __tablename__ = "clients"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    name: Mapped[str]
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    grants: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    roles: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    may_introspect: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class RefreshFamilyRow(Base):
    """What a person has granted a client: all tokens that came of one code; it ends as a whole."""

    __tablename__ = "refresh_families"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class FamilyTokenRow(Base):
    """A client's refresh token, by its SHA-256 only; it can be used once."""

    __tablename__ = "family_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AuthorizationCodeRow(Base):
    """A code, by its SHA-256 only; `family` is what it was used for."""

    __tablename__ = "authorization_codes"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    redirect_uri: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    challenge: Mapped[str]
    nonce: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime]
    family: Mapped[UUID | None] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"))


class OutsideAccountRow(Base):
    """An account at an outside provider, by the provider's id for it, which unlike an address never changes hands."""

    __tablename__ = "outside_accounts"

    provider: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    linked_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
