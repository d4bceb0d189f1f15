"""How long each kind of activity may take and how it is retried: the only retry layer there is."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy

from config.settings import Settings
from domain.bookings import BookingPolicy
from temporal.queues import PAYMENT

NEVER_RETRIED = ["ValueError", "TypeError", "StaleStep", "Refused", "ValidationError"]
"""Errors that repeating cannot mend: they name a bug or a decision, not a moment of bad luck."""


_CONVERSATION = timedelta(seconds=120)
"""A few calls with timeouts of their own, and the wait for the provider's limit, which is not to cost a try."""


def booking_policy(settings: Settings) -> BookingPolicy:
    """The limits that a booking starts with."""
    return BookingPolicy(
        payment_window=timedelta(seconds=settings.payment_window),
        compensation_attempts=settings.compensation_attempts,
        payment_steps=settings.payment_steps,
    )


class LocalOptions(TypedDict):
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class ProviderLocalOptions(LocalOptions):
    local_retry_threshold: timedelta


class RemoteOptions(LocalOptions):
    heartbeat_timeout: timedelta
    task_queue: str


def transaction(attempts: int = 0) -> LocalOptions:
    """A transaction in our own database, with what Redis has to learn of it.

    Args:
        attempts: How often it is tried; 0 for until it is certain.
    """
    return {
        "start_to_close_timeout": timedelta(seconds=10),
        "retry_policy": _backoff(attempts, longest=timedelta(seconds=5)),
    }


def provider(attempts: int) -> RemoteOptions:
    """A conversation of a few calls with a payment provider, each with its own timeout.

    Heartbeats tell a killed worker from a slow provider, so that another worker looks the outcome up within seconds.
    """
    return {
        "start_to_close_timeout": _CONVERSATION,
        "heartbeat_timeout": timedelta(seconds=6),
        "task_queue": PAYMENT,
        "retry_policy": _backoff(attempts, longest=timedelta(seconds=30)),
    }


def provider_locally(attempts: int) -> ProviderLocalOptions:
    """As `provider`, in the saga's own worker: a dead one is noticed by its workflow task's timeout.

    A longer pause between two tries is a timer of the workflow, which meanwhile can hear its buyer.
    """
    return {
        "start_to_close_timeout": _CONVERSATION,
        "local_retry_threshold": timedelta(seconds=0.5),
        "retry_policy": _backoff(attempts, longest=timedelta(seconds=30)),
    }


class ReportOptions(RemoteOptions):
    schedule_to_close_timeout: timedelta


def settlement_report() -> ReportOptions:
    """A long talk with a provider about a whole day: it may take hours and be tried until the next day's is due."""
    return {
        "start_to_close_timeout": timedelta(hours=6),
        "schedule_to_close_timeout": timedelta(hours=20),
        "heartbeat_timeout": timedelta(seconds=30),
        "task_queue": PAYMENT,
        "retry_policy": _backoff(0, longest=timedelta(minutes=5)),
    }


def _backoff(attempts: int, *, longest: timedelta) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        backoff_coefficient=2.0,
        maximum_interval=longest,
        maximum_attempts=attempts,
        non_retryable_error_types=NEVER_RETRIED,
    )
