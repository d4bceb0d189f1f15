"""Who may do what: the roles of an account, a member's part in a team, and the scopes of a token."""

from __future__ import annotations

from enum import StrEnum


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
