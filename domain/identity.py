"""People: what their accounts may do, and what they tell us about themselves."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Role(StrEnum):
    """What an account may do; it can have several."""

    CUSTOMER = "customer"  # buys
    ORGANIZER = "organizer"  # creates events, and sells and cancels their own
    SUPPORT = "support"  # reads every booking's story
    OPERATOR = "operator"  # repairs what failed, and gives roles


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
