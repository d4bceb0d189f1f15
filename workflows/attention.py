"""How a saga whose step keeps failing waits: visibly, for an operator's decision, and not for ever in vain."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.bookings import OperatorAction
    from domain.problems import ProblemType

RETURN_MONEY: Final = "return money"
RELEASE_SEATS: Final = "release seats"
ISSUE_TICKETS: Final = "issue tickets"
SETTLE_REFUND: Final = "settle the refund"
SWAP_SEATS: Final = "swap the seats"

_CHOICES: Final = {
    RETURN_MONEY: {OperatorAction.RETRY, OperatorAction.RESOLVE},
    RELEASE_SEATS: {OperatorAction.RETRY},
    ISSUE_TICKETS: {OperatorAction.RETRY, OperatorAction.COMPENSATE},
    SETTLE_REFUND: {OperatorAction.RETRY},
    SWAP_SEATS: {OperatorAction.RETRY},
}
"""What an operator may order at each step where the saga can be parked."""

# A long outage, when it is over, needs no operator at all; and a history does not grow full while nobody looks.
FIRST_REST: Final = timedelta(minutes=10)
_LONGEST_REST: Final = timedelta(hours=4)


def longer(rest: timedelta) -> timedelta:
    """How long to wait after the next try, when the one after `rest` has failed, too."""
    return min(2 * rest, _LONGEST_REST)


class Attention:
    """The place where a saga is parked, if it is.

    Attributes:
        step: The step that keeps failing; None while all goes well.
    """

    def __init__(self) -> None:
        self.step: str | None = None
        self._failed: str | None = None
        self._rest = FIRST_REST
        self._action: OperatorAction | None = None

    def park(self, step: str) -> None:
        """From now on an operator may decide."""
        if step != self._failed:
            self._rest = FIRST_REST
        self.step, self._failed, self._action = step, step, None

    async def decision(self, *, alone: bool = True) -> OperatorAction:
        """The operator's decision; the saga is not parked any more.

        Args:
            alone: Where none comes for long, try again: after 10 minutes, 20, and so on, at last every 4 hours.
        """
        try:
            await workflow.wait_condition(lambda: self._action is not None, timeout=self._rest if alone else None)
            self._rest = FIRST_REST
        except TimeoutError:
            self._action = OperatorAction.RETRY
            self._rest = longer(self._rest)
        self.step = None
        assert self._action is not None
        return self._action

    def check(self, action: OperatorAction) -> None:
        """Raise ApplicationError unless the saga is parked where this action makes sense."""
        if self.step is None:
            raise ApplicationError("The saga does not wait for an operator.", type=ProblemType.WRONG_STATE)
        if action not in _CHOICES[self.step]:
            raise ApplicationError(f"{action} is no choice at {self.step}.", type=ProblemType.WRONG_STATE)

    def decide(self, action: OperatorAction) -> None:
        """Take an operator's decision, which `check` has let pass."""
        self._action = action
