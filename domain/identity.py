"""People: what their accounts and tokens may do, their part in a team, and what they tell us about themselves."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Role(StrEnum):
    """What an account may do; it can have several."""

    CUSTOMER = "customer"  # buys
    ORGANIZER = "organizer"  # creates events, and sells and cancels their own
    SUPPORT = "support"  # reads every booking's story
    OPERATOR = "operator"  # repairs what failed, and gives roles


class TeamRole(StrEnum):
    """A member's part in a team of organizers."""

    OWNER = "owner"  # does with the team's events whatever an organizer may do, and says who is a member
    STAFF = "staff"  # sees the team's drafts, sales and cancellations, and changes nothing


class Scope(StrEnum):
    """What an access token is good for, whatever the roles of the person behind it."""

    FIRST_PARTY = "seatwright"  # everything; only our own log-in gives it
    OPENID = "openid"  # an id_token
    PROFILE = "profile"
    EMAIL = "email"
    BOOKINGS_READ = "bookings:read"
    BOOKINGS_WRITE = "bookings:write"
    EVENTS_READ = "events:read"  # drafts and the progress of a cancellation; what is on sale needs no token
    EVENTS_WRITE = "events:write"


GRANTED_TO_CLIENTS = frozenset(Scope) - {Scope.FIRST_PARTY}
"""What other people's applications can be registered for."""


ROLES_OF_CLIENTS = frozenset({Role.CUSTOMER, Role.ORGANIZER})
"""What other people's applications may be at most, on whose behalf ever: our staff acts in person."""


class Channel(StrEnum):
    """A way to reach a person."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"


class Profile(BaseModel):
    """What a person tells us: all of it is personal, and leaves the API for nobody but its owner and our mails.

    Attributes:
        phone: E.164, such as `+31201234567`.
        language: BCP 47, such as `en` or `pt-BR`.
        channels: How the person wants to hear from us.
        favourite_categories: Of events, as the catalogue names them.
    """

    model_config = ConfigDict(frozen=True)

    email: str
    name: str
    phone: str | None = None
    language: str = "en"
    channels: tuple[Channel, ...] = (Channel.EMAIL,)
    favourite_categories: tuple[str, ...] = ()
