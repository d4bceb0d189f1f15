"""The identity service's tables, as the statements see them; the migrations are their source of truth."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, MetaData, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from db.creation_keys import CreationKeyColumns
from db.outbox import DomainEventColumns, OutboxColumns, ServiceBase


class Base(ServiceBase):
    """The base of identity's tables; its metadata holds no other service's tables."""

    __abstract__ = True
    metadata = MetaData()


class DomainEventRow(DomainEventColumns, Base):
    """The log of this service's domain events."""


class OutboxRow(OutboxColumns, Base):
    """The outbox of this service; its relay publishes the rows."""


class UserRow(Base):
    """An account. An erased account has only its id.

    `profile` is sealed under the key of its owner; `address_hash` finds it by email address, `name_hash` by name.
    """

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    address_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    name_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    profile: Mapped[bytes | None] = mapped_column(LargeBinary)
    password_hash: Mapped[str | None]
    roles: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    verified_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]


class UserKeyRow(Base):
    """A person's wrapped key; without it all their sealed data is unreadable, in backups too."""

    __tablename__ = "user_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)


class SessionRow(Base):
    """One log-in and all its refresh tokens: a family, which ends as a whole.

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
    """A refresh token, by its SHA-256 only; it can be used once. `used_by` is a hash of the program that used it."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[bytes | None] = mapped_column(LargeBinary)


class AuditLogRow(Base):
    """Who did what to which object; each row carries the hash of the one before. `origin` is sealed."""

    __tablename__ = "audit_log"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    roles: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    origin: Mapped[bytes | None] = mapped_column(LargeBinary)
    request_id: Mapped[str | None]
    previous: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class MailTokenRow(Base):
    """A token that went out by mail, by its SHA-256 only; it is deleted by its use."""

    __tablename__ = "mail_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    purpose: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime]


class SecondFactorRow(Base):
    """A TOTP secret, sealed under its owner's key; `last_step` is the newest 30 seconds whose code was used.

    `wrong_codes` counts the wrong codes since the last correct one.
    """

    __tablename__ = "second_factors"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    wrong_codes: Mapped[int] = mapped_column(server_default=text("0"))


class RecoveryCodeRow(Base):
    """A code that stands in for a lost second factor, by its SHA-256 only; it is deleted by its use."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("second_factors.user_id", ondelete="CASCADE"), primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)


class LogInChallengeRow(Base):
    """A log-in with the correct password that waits for the second factor."""

    __tablename__ = "log_in_challenges"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("second_factors.user_id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))


class SigningKeyColumns:
    """A key that signs tokens; its private part is encrypted."""

    kid: Mapped[str] = mapped_column(primary_key=True)
    public: Mapped[dict[str, Any]] = mapped_column(JSONB())
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    signs_from: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SigningKeyRow(SigningKeyColumns, Base):
    """A key that signs access tokens, and the id tokens of some clients (Ed25519)."""

    __tablename__ = "signing_keys"


class IdTokenKeyRow(SigningKeyColumns, Base):
    """A key that signs id tokens alone (RSA); no access token is checked with it."""

    __tablename__ = "id_token_keys"


class RevocationRow(Base):
    """A revoked session, family, token or person; written by triggers and by `revoke()`."""

    __tablename__ = "revocations"

    subject: Mapped[UUID] = mapped_column(primary_key=True)
    revoked_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class CreationKeyRow(CreationKeyColumns, Base):
    """The teams that idempotency keys have created; a key goes with its team."""


class TeamRow(Base):
    """Organizers who sell together."""

    __tablename__ = "teams"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class TeamMemberRow(Base):
    """A person's role in a team; an invitation until it is accepted."""

    __tablename__ = "team_members"

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str]
    accepted_at: Mapped[datetime | None]


class ClientRow(Base):
    """A third-party application; a public one has no secret."""

    __tablename__ = "clients"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    name: Mapped[str]
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    grants: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    roles: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    may_introspect: Mapped[bool]
    id_token_signed_response_alg: Mapped[str] = mapped_column(server_default=text("'EdDSA'"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class RefreshFamilyRow(Base):
    """A person's grant to a client: all tokens of one code. It ends as a whole.

    A trigger keeps `last_used_at`: the time of its newest refresh token, or of its beginning.
    """

    __tablename__ = "refresh_families"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_used_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class FamilyTokenRow(Base):
    """A client's refresh token, by its SHA-256 only; it can be used once."""

    __tablename__ = "family_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AuthorizationCodeRow(Base):
    """A code, by its SHA-256 only; `family` has the tokens that it was used for."""

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
    logged_in_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class ConsentRow(Base):
    """What a person has allowed a client, for as long as the person does not take it back."""

    __tablename__ = "consents"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"), primary_key=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT()))
    given_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PendingConsentRow(Base):
    """A person after the log-in on the page of a client, before the decision, which deletes it."""

    __tablename__ = "pending_consents"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    logged_in_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class OutsideAccountRow(Base):
    """An account at another log-in provider, by the provider's id: unlike an address it never changes its owner."""

    __tablename__ = "outside_accounts"

    provider: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    linked_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
