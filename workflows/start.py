"""Under which id, and findable by what, a booking's workflow is started, by the API or by whoever revives it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from temporalio.common import SearchAttributePair, TypedSearchAttributes

from domain.bookings import BookingRequest, BookingStatus
from domain.payments import LatePayment
from temporal import search_attributes

TASK_TIMEOUT = timedelta(seconds=5)
"""How soon a booking in the hands of a dead worker goes to another one: well before its caller gives up."""


def workflow_id(booking_id: UUID) -> str:
    """The id of a booking's workflow; without a slash, on which Temporal's UI stumbles."""
    return f"booking-{booking_id}"


def late_payment_id(intent_id: str) -> str:
    """The id of the workflow that looks after money of a closed attempt."""
    return f"late-payment-{intent_id}"


def search_attributes_of_late(late: LatePayment) -> TypedSearchAttributes:
    """What a late payment can be found by from its first moment on; its event it finds out by itself."""
    return TypedSearchAttributes([SearchAttributePair(search_attributes.BOOKING, str(late.booking_id))])


def search_attributes_of(request: BookingRequest) -> TypedSearchAttributes:
    """What Temporal's UI can find the booking by from its first moment on."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(search_attributes.STATUS, BookingStatus.HELD),
            SearchAttributePair(search_attributes.EVENT, str(request.event_id)),
            SearchAttributePair(search_attributes.BOOKING, str(request.id)),
        ]
    )
