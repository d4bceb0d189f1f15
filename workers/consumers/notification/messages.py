"""Which domain event leads to which message, to whom, and through which channels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from domain.domain_events import (
    BookingCancelled,
    BookingConfirmed,
    BookingDifferenceReturned,
    BookingEvent,
    BookingFailed,
    BookingMoneyReturned,
    BookingRefundedByProvider,
    DomainEvent,
    EventSummary,
    LatePaymentSettled,
    TicketExchanged,
    TicketExchangeFailed,
    UserAskedForPasswordReset,
    UserAskedForVerification,
    UserEvent,
    UserInvitedToTeam,
    UserPasswordChanged,
    UserRegisteredAgain,
)
from domain.identity import Channel


@dataclass(frozen=True)
class Message:
    """A message to one person, before it is rendered for a channel.

    Attributes:
        template: The name that the message's templates have in the folder of each channel.
        user_id: The recipient.
        values: What the templates show.
        protects_account: It goes to the email address whatever channels the person has chosen, and does not greet by
            name. The owner of the address may not be the person who registered with it, and a name is free text:
            otherwise anyone could use Seatwright to send text of their choice to any address.
        token_id: The token that the message carries. Its secret is fetched when the message is sent.
    """

    template: str
    user_id: UUID
    values: Mapping[str, object] = field(default_factory=dict)
    protects_account: bool = False
    token_id: UUID | None = None

    def channels(self, chosen: Collection[Channel]) -> Collection[Channel]:
        """The channels to use for a person who has chosen these."""
        return (Channel.EMAIL,) if self.protects_account else chosen


def message_for(event: DomainEvent) -> Message | None:
    """The message that a domain event leads to; None if it leads to no message."""
    match event:
        case BookingConfirmed():
            return _about_booking("booking_confirmed", event)
        case BookingFailed():
            return _about_booking("booking_failed", event)
        case BookingCancelled(cause="event_cancelled"):
            return _about_booking("booking_called_off", event)
        case TicketExchangeFailed():
            return _about_booking("exchange_failed", event)
        case TicketExchanged():
            return _about_booking("ticket_exchanged", event)
        case LatePaymentSettled():
            return _about_booking("late_payment", event)
        case BookingRefundedByProvider():
            return None  # its tickets are as before, and the provider notifies its customer itself
        case BookingDifferenceReturned():
            return _about_booking("difference_refunded", event)
        case BookingMoneyReturned():
            return _about_booking("refund_paid" if event.amount else "tickets_returned", event)
        case UserAskedForVerification():
            return _about_account("email_verification", event, event.token_id)
        case UserAskedForPasswordReset():
            return _about_account("password_reset", event, event.token_id)
        case UserRegisteredAgain():
            return _about_account("registered_again", event, event.token_id)
        case UserInvitedToTeam():
            return _about_account("team_invitation", event)
        case UserPasswordChanged():
            return _about_account("password_changed", event)
        case _:
            return None


def _about_booking(template: str, event: BookingEvent | LatePaymentSettled) -> Message:
    summary = _event_of(event)
    name = event.event_name if isinstance(event, BookingMoneyReturned) else summary.name if summary else ""
    return Message(template, event.user_id, {"booking": event, "event": summary, "event_name": name})


def _event_of(event: DomainEvent) -> EventSummary | None:
    """The event of a booking; a domain event from before there were summaries has its name, and some its start."""
    match event:
        case BookingCancelled() | BookingFailed() | BookingMoneyReturned() | TicketExchangeFailed():
            return event.event
        case BookingConfirmed() | TicketExchanged():
            return event.event or EventSummary(name=event.event_name, starts_at=event.starts_at)
        case _:
            return None


def _about_account(template: str, event: UserEvent, token_id: UUID | None = None) -> Message:
    return Message(template, event.user_id, protects_account=True, token_id=token_id)
