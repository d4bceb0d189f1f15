"""How a saga does a step that has to succeed: where it keeps failing, the saga waits for an operator, visibly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from domain.bookings import BookingStatus, OperatorAction
    from domain.problems import ProblemType
    from temporal.metrics import count_attention
    from temporal.search_attributes import STATUS
    from workflows.support.polling import Notification, doubling

T = TypeVar("T")

RETURN_MONEY: Final = "return money"
RELEASE_SEATS: Final = "release seats"
ISSUE_TICKETS: Final = "issue tickets"
SETTLE_REFUND: Final = "settle the refund"
SWAP_SEATS: Final = "swap the seats"

# A long outage, when it is over, needs no operator at all; and the history of a saga that waits stays short.
_FIRST_PAUSE: Final = timedelta(minutes=10)
_LONGEST_PAUSE: Final = timedelta(hours=4)


class NeedsOperator(Exception):
    """A step failed in a way that only an operator can end: it is not tried again before that."""


async def done_by_hand() -> None:
    """What takes the place of a step that an operator has done by hand, where nothing is left to record."""


def once_known(why: str) -> Callable[[], Awaitable[None]]:
    """A step that only makes an operator notice something: it fails once, and succeeds when the operator retries it.

    Args:
        why: What the operator reads.
    """
    reasons = [why]

    async def wait() -> None:
        if reasons:
            raise NeedsOperator(reasons.pop())

    return wait


class OperatorGate:
    """Base of the sagas that must not stop half way, and that deal with a payment provider.

    Attributes:
        waits_at: The step that keeps failing, while the saga waits for an operator; else None.
        notification: The provider's latest.
    """

    def __init__(self, *, shown: BookingStatus | None = None, notification_retries: bool = False) -> None:
        """A saga that does not wait.

        Args:
            shown: The status that Temporal's UI shows from the start.
            notification_retries: Whether a provider's notification, too, makes a failed step be tried again.
        """
        self.waits_at: str | None = None
        self.notification = Notification()
        self._shown = shown
        self._notification_retries = notification_retries
        self._choices: set[OperatorAction] = set()
        self._decision: OperatorAction | None = None

    async def must(
        self,
        step: str,
        effect: Callable[[], Awaitable[T]],
        *,
        resolve: Callable[[], Awaitable[T]] | None = None,
        compensate: Callable[[], Awaitable[T]] | None = None,
    ) -> T:
        """Do a step until it succeeds; where it keeps failing, wait for an operator.

        Without a decision it is tried again after 10 minutes, 20, and so on, at last every 4 hours.

        Args:
            step: Its name, as operators see it.
            effect: Does it.
            resolve: Takes its place where the operator has done it by hand; None where that is no choice.
            compensate: Takes its place where the operator gives up going forward; None where that is no choice.
        """
        instead = {
            action: effect_instead
            for action, effect_instead in (
                (OperatorAction.RESOLVE, resolve),
                (OperatorAction.COMPENSATE, compensate),
            )
            if effect_instead
        }
        pauses = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                return await effect()
            except (FailureError, NeedsOperator) as error:
                failure = error
            pause = None if isinstance(failure, NeedsOperator) else next(pauses)
            action = await self._wait_for_operator(step, failure, {OperatorAction.RETRY, *instead}, pause)
            if action:
                pauses = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
                effect = instead.get(action, effect)

    async def _wait_for_operator(
        self, step: str, failure: Exception, choices: set[OperatorAction], pause: timedelta | None
    ) -> OperatorAction | None:
        """The operator's decision; None where there is none in time."""
        workflow.logger.error("a saga needs attention", exc_info=failure, extra={"step": step})
        count_attention(step)
        self.waits_at, self._choices, self._decision = step, choices, None
        workflow.set_current_details(f"NEEDS ATTENTION: {step} keeps failing ({failure.__cause__ or failure})")
        self.show_status(BookingStatus.NEEDS_ATTENTION)
        await self.flag(step)
        await self._wait_for_decision(pause)
        self.waits_at = None
        await self.unflag()
        return self._decision

    async def _wait_for_decision(self, pause: timedelta | None) -> None:
        def is_decided() -> bool:
            return self._decision is not None

        if self._notification_retries and pause:
            await self.notification.wait(pause, unless=is_decided)
            return
        try:
            await workflow.wait_condition(is_decided, timeout=pause)
        except TimeoutError:
            return

    def show_status(self, status: BookingStatus) -> None:
        """Let Temporal's UI find the saga by this status; nothing where it does already."""
        if status is not self._shown:
            self._shown = status
            workflow.upsert_search_attributes([STATUS.value_set(status)])

    async def flag(self, step: str) -> None:
        """Show, where else that matters, that the saga begins to wait for an operator."""

    async def unflag(self) -> None:
        """Show, where else that matters, that it does not wait any more."""

    @workflow.update
    async def operate(self, action: OperatorAction) -> None:
        """Take an operator's decision about the step that keeps failing."""
        self._decision = action

    @operate.validator
    def _may_operate(self, action: OperatorAction) -> None:
        if self.waits_at is None:
            raise ApplicationError("The saga does not wait for an operator.", type=ProblemType.WRONG_STATE)
        if action not in self._choices:
            raise ApplicationError(f"{action} is not possible at {self.waits_at}.", type=ProblemType.WRONG_STATE)

    @workflow.signal(name="provider_has_news")
    def provider_notified(self) -> None:
        """The provider says that something changed: ask it now."""
        self.notification.has_arrived = True
