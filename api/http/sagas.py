"""How the API reaches sagas: it starts one or attaches to it, sends a command, and says "unknown" without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import UpdateMethodMultiParam

from api.http.deadlines import with_deadline
from domain.problems import ProblemType, Refused
from temporal.start import StartOptions

Request = TypeVar("Request")
Result = TypeVar("Result")

_START: Final = timedelta(seconds=2)
_REPEAT: Final = "The outcome is not known yet: repeat the call with the same Idempotency-Key to learn it."


class WorkflowClosed(Exception):
    """The saga takes no commands any more: the database says how it ended."""


class AnswerLost(Refused):
    """The command may have been carried out, and Temporal has forgotten it: the same command again finds its result."""


async def start(
    temporal: Client,
    run: Callable[[Any, Request], Awaitable[Result]],
    request: Request,
    options: StartOptions,
) -> WorkflowHandle[Any, Result]:
    """Start a workflow, or join the one that runs.

    Args:
        temporal: The client.
        run: The workflow's run method.
        request: What it starts with.
        options: From `workflows.ids`, so that all callers start it in the same way.

    Raises:
        TimeoutError: Temporal does not answer in time.
        WorkflowClosed: It has completed, and may not be started again.
    """
    try:
        async with asyncio.timeout(_START.total_seconds()):
            return await temporal.start_workflow(
                run, request, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING, rpc_timeout=_START, **options
            )
    except WorkflowAlreadyStartedError as error:
        raise WorkflowClosed from error


async def start_or_attach(
    temporal: Client,
    run: Callable[[Any, Request], Awaitable[Any]],
    request: Request,
    options: StartOptions,
    update: UpdateMethodMultiParam[..., Result],
    *,
    args: Sequence[Any] = (),
    update_id: str | None = None,
    about: Mapping[str, str],
    wait: float,
) -> Result:
    """Start a saga, or attach to the one that runs, and wait for the answer of its first update.

    Args:
        temporal: The client.
        run: The saga's run method.
        request: What it starts with.
        options: From `workflows.ids`, so that all callers start it in the same way.
        update: The update's method.
        args: The update's arguments.
        update_id: Calls with the same id share one answer; None for one of its own.
        about: Members of a refusal, such as the booking's id.
        wait: Seconds until the answer is "unknown".

    Raises:
        WorkflowClosed: The saga has ended, and may not be started again.
        Refused: The saga does not accept the update, or the outcome is not known (`outcome-unknown`).
    """
    operation = WithStartWorkflowOperation(
        run, request, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING, **options
    )
    answered = temporal.execute_update_with_start_workflow(
        update, args=args, id=update_id, start_workflow_operation=operation
    )
    started = asyncio.ensure_future(operation.workflow_handle())
    try:
        return await answer(answered, about=about, wait=wait)
    except WorkflowAlreadyStartedError as error:
        raise WorkflowClosed from error
    finally:
        started.cancel()  # it fails as the update does; a failure that is never read would be logged


async def answer(update: Awaitable[Result], *, about: Mapping[str, str], wait: float) -> Result:
    """The answer of a command that was sent to a saga.

    Raises:
        WorkflowClosed: The saga takes no commands any more.
        AnswerLost: The outcome is not known, and the same command will learn it.
        Refused: The saga does not accept the command, or its outcome is not known after `wait` seconds.
    """
    try:
        return await asyncio.wait_for(update, wait)
    except WorkflowUpdateFailedError as error:
        raise _refusal(error, about) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise unknown(about) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise WorkflowClosed from error
        if error.status is RPCStatusCode.FAILED_PRECONDITION:
            # Something arrived while a task ended the workflow: the server drops that task with all its answers.
            raise AnswerLost(ProblemType.OUTCOME_UNKNOWN, _REPEAT, **about) from error
        raise unknown(about) from error


def _refusal(error: WorkflowUpdateFailedError, about: Mapping[str, str]) -> Exception:
    if isinstance(error.cause, ApplicationError):
        if error.cause.type in set(ProblemType):
            return Refused(ProblemType(error.cause.type), error.cause.message, **about)
        if error.cause.type == "AcceptedUpdateCompletedWorkflow":
            return WorkflowClosed()
    return error


def unknown(about: Mapping[str, str]) -> Refused:
    """The command was sent, and its outcome is not known yet."""
    return Refused(ProblemType.OUTCOME_UNKNOWN, _REPEAT, **about)


@contextmanager
def after_order(about: Mapping[str, str]) -> Iterator[None]:
    """Where a command was sent, and what came of it cannot be read, its outcome is unknown: something was ordered."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        raise unknown(about) from error


async def notify_workflow(temporal: Client, workflow_id: str) -> bool:
    """Have a saga ask its payment provider now; False where no such saga runs.

    Raises:
        TimeoutError: Temporal does not answer in time.
        RPCError: Temporal cannot be reached.
    """
    try:
        await with_deadline(temporal.get_workflow_handle(workflow_id).signal("provider_has_news"))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
