"""Domain events about accounts; import them from `domain.domain_events`."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from domain.domain_event_registry import DomainEvent


class UserEvent(DomainEvent):
    """A change of one account. It carries only the id: consumers that need more ask identity."""

    topic: ClassVar[str] = "identity.events"

    user_id: UUID


class UserRegistered(UserEvent):
    """An account was made; its address may not be confirmed yet."""

    type: Literal["user.registered"] = "user.registered"


class UserAskedForToken(UserEvent):
    """A token has to be mailed. The token itself is not in the event: the mailer asks identity for it."""

    token_id: UUID


class UserAskedForVerification(UserAskedForToken):
    """The person has to prove that the address is theirs."""

    type: Literal["user.asked_for_verification"] = "user.asked_for_verification"


class UserAskedForPasswordReset(UserAskedForToken):
    """The account's password was reported as forgotten, perhaps not by its owner."""

    type: Literal["user.asked_for_password_reset"] = "user.asked_for_password_reset"


class UserPasswordChanged(UserEvent):
    """The account's password was changed, and all its sessions have ended."""

    type: Literal["user.password_changed"] = "user.password_changed"


class UserErased(UserEvent):
    """The person's data was erased; only the id is left."""

    type: Literal["user.erased"] = "user.erased"
