"""The ways in which a workflow does a step: in its own worker, at a payment provider, or at another service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from temporal.policies import provider, provider_locally, transaction
    from temporal.queues import PAYMENT

Request = TypeVar("Request")
Result = TypeVar("Result")
Activity = Callable[[Any, Request], Awaitable[Result]]


def failed_as(type: str, error: FailureError) -> bool:
    """Whether a step failed with an activity's error of this type; the SDK wraps it for remote activities only."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return isinstance(cause, ApplicationError) and cause.type == type


async def local_step(
    activity: Activity[Request, Result], request: Request, summary: str, max_attempts: int = 0
) -> Result:
    """A transaction in the service's own database; as a local activity it costs the history one event.

    Args:
        activity: Its method.
        request: Its input.
        summary: What Temporal's UI shows.
        max_attempts: Attempts, with the first one; 0 for until it succeeds.

    Raises:
        FailureError: It failed as often as it may be tried, or in a way that no repetition changes. The SDK may raise a
            bare ApplicationError for a local activity, so never catch ActivityError alone.
    """
    return await workflow.execute_local_activity_method(activity, request, summary=summary, **transaction(max_attempts))


async def provider_step(
    activity: Activity[Request, Result],
    request: Request,
    summary: str,
    max_attempts: int,
    *,
    locally: bool = False,
    task_queue: str = PAYMENT,
) -> Result:
    """A few calls to a payment provider.

    Args:
        activity: Its method.
        request: Its input.
        summary: What Temporal's UI shows.
        max_attempts: Attempts, with the first one; 0 for until it succeeds.
        locally: In the saga's own worker, instead of on the payment service's queue.
        task_queue: Which of the payment service's queues.

    Raises:
        FailureError: As in `local_step`.
    """
    if locally:
        local = provider_locally(max_attempts)
        return await workflow.execute_local_activity_method(activity, request, summary=summary, **local)
    options = provider(max_attempts, task_queue)
    return await workflow.execute_activity_method(activity, request, summary=summary, **options)


async def service_step(task_queue: str, activity: Activity[Request, Result], request: Request, summary: str) -> Result:
    """A transaction in another service's database, tried until it succeeds.

    Raises:
        FailureError: It failed in a way that no repetition changes.
    """
    return await workflow.execute_activity_method(
        activity, request, task_queue=task_queue, summary=summary, **transaction()
    )
