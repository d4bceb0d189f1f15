"""People: the roles and scopes of their accounts and tokens, their roles in teams, and their profiles."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Role(StrEnum):
    """What an account may do. An account can have several roles."""

    CUSTOMER = "customer"  # buys
    ORGANIZER = "organizer"  # creates events, and sells and cancels their own
    SUPPORT = "support"  # reads every booking's timeline
    OPERATOR = "operator"  # decides about failed steps, and grants roles


class TeamRole(StrEnum):
    """A member's role in a team of organizers."""

    OWNER = "owner"  # does everything that an organizer may do with the team's events, and manages its members
    STAFF = "staff"  # sees the team's drafts, sales and cancellations, and changes nothing


class Scope(StrEnum):
    """What an access token allows, within the roles of its owner."""

    FIRST_PARTY = "seatwright"  # everything; only a log-in at Seatwright itself gives it
    OPENID = "openid"  # an id_token
    PROFILE = "profile"
    EMAIL = "email"
    BOOKINGS_READ = "bookings:read"
    BOOKINGS_WRITE = "bookings:write"
    EVENTS_READ = "events:read"  # drafts and the progress of a cancellation; published events need no token
    EVENTS_WRITE = "events:write"


GRANTED_TO_CLIENTS = frozenset(Scope) - {Scope.FIRST_PARTY}
"""The scopes for which third-party applications can be registered."""


ROLES_OF_CLIENTS = frozenset({Role.CUSTOMER, Role.ORGANIZER})
"""The roles that a third-party application can use, for any person. Staff act without one."""


class SigningAlgorithm(StrEnum):
    """How a token is signed, as its header names it (RFC 7518, RFC 8037)."""

    ED_DSA = "EdDSA"  # access tokens, and the id tokens of clients that ask for it
    RS256 = "RS256"  # id tokens alone: every library of OpenID Connect can check it


class Channel(StrEnum):
    """A way to reach a person."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"


class Profile(BaseModel):
    """A person's own data. All of it is personal: the API shows it only to its owner, and mails use it.

    Attributes:
        phone: E.164, such as `+31201234567`.
        language: BCP 47, such as `en` or `pt-BR`.
        channels: The ways in which the person wants to be notified.
        favourite_categories: Categories of events, as in the catalogue.
    """

    model_config = ConfigDict(frozen=True)

    email: str
    name: str
    phone: str | None = None
    language: str = "en"
    channels: tuple[Channel, ...] = (Channel.EMAIL,)
    favourite_categories: tuple[str, ...] = ()
