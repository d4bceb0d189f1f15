"""How long each kind of activity may take and how it is retried: the only retry layer there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy

from config.settings import Settings
from domain.bookings import BookingPolicy
from temporal.queues import PAYMENT, RESERVATION

NEVER_RETRIED = ["ValueError", "TypeError", "StaleStep", "TicketsForbidden", "Refused", "ValidationError"]
"""Errors that no retry removes: they name a bug or a decision, not a passing fault."""


REPORT_TRIED = timedelta(hours=20)
"""How long one night tries to reconcile a provider's day."""

_PROVIDER_CALLS = timedelta(seconds=120)
"""A few calls with timeouts of their own, and the wait for the provider's rate limit, which must not cost a try."""


def booking_policy(settings: Settings) -> BookingPolicy:
    """The limits that a booking starts with."""
    return BookingPolicy(
        payment_window=timedelta(seconds=settings.payment_window),
        compensation_attempts=settings.compensation_attempts,
        payment_steps=settings.payment_steps,
        free_places=settings.free_places,
    )


class LocalOptions(TypedDict):
    """Options of a local activity."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class ProviderLocalOptions(LocalOptions):
    """Options of a local activity that calls a provider."""

    local_retry_threshold: timedelta


class RemoteOptions(LocalOptions):
    """Options of an activity on another service's queue."""

    heartbeat_timeout: timedelta
    task_queue: str


def transaction(max_attempts: int = 0) -> LocalOptions:
    """A transaction in the service's own database, and the update of Redis that follows it.

    Args:
        max_attempts: Attempts, with the first one; 0 for until it succeeds.
    """
    return {
        "start_to_close_timeout": timedelta(seconds=10),
        "retry_policy": _backoff(max_attempts, longest=timedelta(seconds=5)),
    }


def copy_of_places() -> RemoteOptions:
    """The copy of up to 100,000 places, on a machine that may be busy: the database gives up first (`serves_callers`).

    The workers take few at a time. Until one does, the copy waits in the queue, which no timeout ends.
    """
    return {
        **transaction(),
        "start_to_close_timeout": timedelta(seconds=330),
        "heartbeat_timeout": timedelta(seconds=15),
        "task_queue": RESERVATION,
    }


def provider(max_attempts: int, task_queue: str = PAYMENT) -> RemoteOptions:
    """A few calls to a payment provider, each with its own timeout.

    Heartbeats distinguish a killed worker from a slow provider, so that another worker finds the outcome in seconds.
    """
    return {
        "start_to_close_timeout": _PROVIDER_CALLS,
        "heartbeat_timeout": timedelta(seconds=6),
        "task_queue": task_queue,
        "retry_policy": _backoff(max_attempts, longest=timedelta(seconds=30)),
    }


def provider_locally(max_attempts: int) -> ProviderLocalOptions:
    """As `provider`, in the saga's own worker: a dead one is noticed by its workflow task's timeout.

    A longer pause between two tries is a timer of the workflow, which can take its buyer's commands during that time.
    """
    return {
        "start_to_close_timeout": _PROVIDER_CALLS,
        "local_retry_threshold": timedelta(seconds=0.5),
        "retry_policy": _backoff(max_attempts, longest=timedelta(seconds=30)),
    }


class ReportOptions(RemoteOptions):
    """Options of an activity that may take hours."""

    schedule_to_close_timeout: timedelta


def settlement_report() -> ReportOptions:
    """The calls for a provider's whole day: they may take hours, and are tried until the next day's are due.

    Nothing is in doubt when the provider refuses them, as it does with revoked keys: no retry changes that.
    """
    return {
        "start_to_close_timeout": timedelta(hours=6),
        "schedule_to_close_timeout": REPORT_TRIED,
        "heartbeat_timeout": timedelta(seconds=30),
        "task_queue": PAYMENT,
        "retry_policy": _backoff(0, longest=timedelta(minutes=5), final=("PaymentRejected",)),
    }


def _backoff(max_attempts: int, *, longest: timedelta, final: Sequence[str] = ()) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        backoff_coefficient=2.0,
        maximum_interval=longest,
        maximum_attempts=max_attempts,
        non_retryable_error_types=[*NEVER_RETRIED, *final],
    )
