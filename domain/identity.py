"""Who may do what: the roles that an account can have."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an account may do; it can have several."""

    CUSTOMER = "customer"  # buys
    ORGANIZER = "organizer"  # creates events, and sells and cancels their own
    SUPPORT = "support"  # reads every booking's story
    OPERATOR = "operator"  # repairs what failed, and gives roles
