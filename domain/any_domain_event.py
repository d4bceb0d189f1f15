"""All domain events as one type, for whoever reads them back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.domain_events import (
    BookingActionRequired,
    BookingCancelled,
    BookingConfirmed,
    BookingDifferenceReturned,
    BookingExpired,
    BookingFailed,
    BookingHeld,
    BookingNeedsAttention,
    BookingPartiallyRefunded,
    BookingPaying,
    BookingRefunded,
    BookingRefunding,
    BookingRefundTakenBack,
    BookingReinstated,
    EventCancelled,
    EventPublished,
    LatePaymentSettled,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentVoided,
    PaymentWasDeclined,
    TicketExchanged,
    UserAskedForPasswordReset,
    UserAskedForVerification,
    UserErased,
    UserPasswordChanged,
    UserRegistered,
)

AnyDomainEvent = Annotated[
    BookingHeld
    | BookingPaying
    | BookingActionRequired
    | BookingConfirmed
    | BookingCancelled
    | BookingExpired
    | BookingFailed
    | BookingNeedsAttention
    | BookingReinstated
    | BookingRefunding
    | BookingPartiallyRefunded
    | BookingRefunded
    | BookingDifferenceReturned
    | BookingRefundTakenBack
    | TicketExchanged
    | PaymentAuthorized
    | PaymentWasDeclined
    | PaymentCaptured
    | PaymentVoided
    | PaymentRefunded
    | PaymentRefundFailed
    | LatePaymentSettled
    | EventPublished
    | EventCancelled
    | UserRegistered
    | UserAskedForVerification
    | UserAskedForPasswordReset
    | UserPasswordChanged
    | UserErased,
    Field(discriminator="type"),
]
"""Every domain event, told apart by `type`."""
