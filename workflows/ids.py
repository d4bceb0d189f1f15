"""Every workflow's id, and how each saga is started: one source for the API, the workers and other workflows.

An id has no slash, which Temporal's UI does not show well.
"""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy

from domain.bookings import BookingRequest, BookingStatus
from domain.exchanges import ExchangeRequest
from domain.payments import LatePayment
from domain.refunds import RefundRequest
from temporal import search_attributes
from temporal.queues import CATALOGUE, RESERVATION
from temporal.start import StartOptions

TASK_TIMEOUT = timedelta(seconds=5)
"""How soon another worker takes over the saga of a dead one: well before its caller gives up."""


def booking_workflow_id(booking_id: UUID) -> str:
    """The id of a booking's saga."""
    return f"booking-{booking_id}"


def refund_workflow_id(refund_id: UUID) -> str:
    """The id of a refund's saga."""
    return f"refund-{refund_id}"


def refund_taken_back_workflow_id(refund_id: UUID) -> str:
    """The id of the workflow that checks a refund which had succeeded."""
    return f"refund-taken-back-{refund_id}"


def provider_refunds_workflow_id(booking_id: UUID) -> str:
    """The id of the workflow that finds what the provider has given back without our request."""
    return f"provider-refunds-{booking_id}"


def exchange_workflow_id(exchange_id: UUID) -> str:
    """The id of an exchange's saga."""
    return f"exchange-{exchange_id}"


def late_payment_workflow_id(intent_id: str) -> str:
    """The id of the saga that handles money of a closed payment attempt."""
    return f"late-payment-{intent_id}"


def event_cancellation_workflow_id(event_id: UUID) -> str:
    """The id of an event cancellation."""
    return f"cancel-event-{event_id}"


def event_cancellation_estimate_workflow_id(event_id: UUID) -> str:
    """The id of the workflow that says what cancelling an event would mean."""
    return f"estimate-cancellation-{event_id}"


def publication_workflow_id(event_id: UUID) -> str:
    """The id of the workflow that puts an event on sale."""
    return f"publish-{event_id}"


def reconciliation_workflow_id(provider: str, day: date) -> str:
    """The id of the reconciliation of one provider's day."""
    return f"reconciliation-{provider}-{day}"


def start_booking(request: BookingRequest, *, again: bool = False) -> StartOptions:
    """How a booking's saga is started.

    Args:
        request: What it starts with.
        again: Also where one under this id has completed: its hold was refused, or the booking has expired and the
            workflow that brought it back for a late payment may be lost.
    """
    places = len(request.seats) + sum(request.quantities.values())
    found_by = _attributes(BookingStatus.HELD, request.event_id, request.id)
    return _saga(booking_workflow_id(request.id), found_by, f"{places} place(s)", again=again)


def start_refund(request: RefundRequest) -> StartOptions:
    """How a refund's saga is started; one that was refused, or that the provider has taken back, is started again."""
    found_by = _attributes(BookingStatus.REFUNDING, request.event_id, request.booking_id)
    return _saga(refund_workflow_id(request.id), found_by, f"{len(request.tickets) or 'all'} ticket(s)", again=True)


def start_exchange(request: ExchangeRequest) -> StartOptions:
    """How an exchange's saga is started; one that was refused may be started again.

    The booking stays as it is during an exchange, and so does the status that Temporal's UI shows.
    """
    found_by = _attributes(BookingStatus.CONFIRMED, request.event_id, request.booking_id)
    return _saga(exchange_workflow_id(request.id), found_by, f"for {request.seat}", again=True)


def start_late_payment(late: LatePayment) -> StartOptions:
    """How a late payment's saga is started; it adds the event itself, once it has read the booking."""
    found_by = TypedSearchAttributes([SearchAttributePair(search_attributes.BOOKING, str(late.booking_id))])
    return _saga(late_payment_workflow_id(late.intent_id), found_by, f"late payment at {late.provider}", again=True)


def start_refund_taken_back(refund_id: UUID) -> StartOptions:
    """How the check of a refund that had succeeded is started; it may be checked any number of times."""
    return _saga(refund_taken_back_workflow_id(refund_id), _NOTHING, "check a refund", again=True)


def start_provider_refunds(booking_id: UUID) -> StartOptions:
    """How the search for refunds by the provider is started; it may be made any number of times."""
    return _saga(provider_refunds_workflow_id(booking_id), _NOTHING, "check the provider's refunds", again=True)


def start_event_cancellation(event_id: UUID, *, again: bool = False) -> StartOptions:
    """How an event cancellation is started.

    Args:
        event_id: The event.
        again: Also where one has completed: it was refused, because the event had changed.
    """
    return _saga(event_cancellation_workflow_id(event_id), _NOTHING, "cancel an event", again=again)


def start_event_cancellation_estimate(event_id: UUID) -> StartOptions:
    """How the estimate of an event cancellation is started; it may be made any number of times."""
    id = event_cancellation_estimate_workflow_id(event_id)
    return _saga(id, _NOTHING, "estimate an event cancellation", again=True)


def start_publication(event_id: UUID) -> StartOptions:
    """How a publication is started, by catalogue's workers; a published event may be published again."""
    options = _saga(publication_workflow_id(event_id), _NOTHING, "publish an event", again=True)
    return {**options, "task_queue": CATALOGUE}


_NOTHING = TypedSearchAttributes.empty


def _attributes(status: BookingStatus, event_id: UUID, booking_id: UUID) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(search_attributes.STATUS, status),
            SearchAttributePair(search_attributes.EVENT, str(event_id)),
            SearchAttributePair(search_attributes.BOOKING, str(booking_id)),
        ]
    )


def _saga(id: str, found_by: TypedSearchAttributes, summary: str, *, again: bool = False) -> StartOptions:
    policy = WorkflowIDReusePolicy
    return {
        "id": id,
        "task_queue": RESERVATION,
        "task_timeout": TASK_TIMEOUT,
        "id_reuse_policy": policy.ALLOW_DUPLICATE if again else policy.ALLOW_DUPLICATE_FAILED_ONLY,
        "search_attributes": found_by,
        "static_summary": summary,
    }
