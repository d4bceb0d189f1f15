"""The saga: what to undo, and in which order, whatever else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from domain.bookings import BookingStatus
from domain.problems import Problem
from temporal.metrics import count_compensation

T = TypeVar("T")
Undo = Callable[[], Awaitable[None]]


class Aborted(Exception):
    """The saga cannot be completed: what it has done is undone.

    Attributes:
        problem: Why, as its caller reads it; None where no caller waits.
        status: How the booking ends, where the saga is a booking's.
    """

    def __init__(self, problem: Problem | None = None, status: BookingStatus = BookingStatus.FAILED) -> None:
        """See the attributes."""
        super().__init__(problem.detail if problem else "aborted")
        self.problem = problem
        self.status = status


class NoEffect(Aborted):
    """The step that raises this had no effect, for certain: only the steps before it are undone."""


@contextmanager
def aborting(problem: Problem) -> Iterator[None]:
    """Abort the saga with `problem` where a step inside keeps failing.

    Raises:
        Aborted: A step raised FailureError.
    """
    try:
        yield
    except FailureError as error:
        raise Aborted(problem) from error


class Compensation(NamedTuple):
    """How one step is undone."""

    step: str
    undo: Undo


class Saga:
    """Steps, each written with its undo; a failure inside `async with` undoes them, latest first.

    A compensation is registered before its step begins, so that a crash in between leaves none out. So an undo must do
    nothing where the step had no effect, and the same when it is repeated. It runs to its end even where the workflow
    is cancelled.

    Only Aborted and FailureError undo. Any other error says that the saga does not know where it stands: the
    compensations stay registered, and `compensate` runs them once that is known.
    """

    def __init__(self) -> None:
        """A saga that has done nothing yet."""
        self._compensations: list[Compensation] = []

    async def __aenter__(self) -> Self:
        """Begin; what an earlier block left registered stays so."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget the compensations of a saga that succeeded, and run those of one that failed."""
        if error is None:
            self._compensations.clear()
        elif isinstance(error, Aborted | FailureError):
            await self.compensate()

    async def step(self, name: str, effect: Awaitable[T], *, undo: Undo) -> T:
        """Do a step that `undo` undoes.

        Raises:
            NoEffect: It had none, and its undo is forgotten.
        """
        self._compensations.append(Compensation(name, undo))
        try:
            return await effect
        except NoEffect:
            self._compensations.pop()
            raise

    async def compensate(self) -> None:
        """Undo all steps, latest first."""
        await shielded(self._compensate(), on_cancel=lambda: None)

    async def _compensate(self) -> None:
        while self._compensations:
            latest = self._compensations[-1]
            if workflow.in_workflow():
                workflow.logger.info("undoing a step", extra={"step": latest.step})
                count_compensation(latest.step)
            await latest.undo()
            self._compensations.pop()


async def shielded(work: Awaitable[None], *, on_cancel: Callable[[], None]) -> None:
    """Wait until `work` has ended; a cancellation of the workflow only calls `on_cancel`.

    So no effect is abandoned half way: a charge that is in flight when the workflow is cancelled would still succeed. A
    single `asyncio.shield` is not enough: its wait ends at the first cancellation while the work goes on.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            on_cancel()
    task.result()
