"""Injects the planned fault into its own process: kills it, loses a response, refuses an effect."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from tests.faults.plan import Fault, Plan


@dataclass
class Step:
    """The work of the current task: an activity of one booking, or the handling of one message.

    Attributes:
        name: As in the plan.
        subject: As in the plan; for an activity, its workflow's id.
        is_struck_later: Its effect is made, and the fault waits for its end or for the next step.
        is_late: It has stood still.
    """

    name: str
    subject: str = ""
    is_struck_later: bool = False
    is_late: bool = False


doing: ContextVar[Step] = ContextVar("doing")


class Striker:
    """Has the plan, and is called before and after each effect."""

    def __init__(self, plan: Plan, temporal_address: str) -> None:
        self.plan = plan
        self._temporal_port = int(temporal_address.rpartition(":")[2])
        self._told: set[str] = set()  # subjects whose next step is not to be lived to see

    def before(self, operation: str, step: Step) -> bool:
        """Called before an effect; returns whether it is refused."""
        if self._strikes(step, operation, Fault.KILLED_BEFORE):
            _die()
        if self._strikes(step, operation, Fault.LATE):
            step.is_late = True
            _stand_still(self._temporal_port)
        return self._strikes(step, operation, Fault.REFUSED)

    def after(self, operation: str, step: Step) -> bool:
        """Called after an effect; returns whether its response is lost."""
        if self._strikes(step, operation, Fault.KILLED_AFTER):
            _die()
        later = (Fault.KILLED_UNTOLD, Fault.KILLED_TOLD)
        step.is_struck_later |= any(self._is_meant(step, operation, fault) for fault in later)
        return self._strikes(step, operation, Fault.ANSWER_LOST)

    def begun(self, step: Step) -> None:
        """Called at the start of an activity; everything before it is recorded."""
        if step.subject in self._told and self.plan.claim():
            _die()

    def left(self, step: Step) -> None:
        """Called at the end of an activity, after success or failure."""
        if step.is_late:
            self.plan.note_late()

    def ended(self, step: Step) -> None:
        """Called when an activity has returned, before its result is sent to Temporal."""
        point = self.plan.read()
        if not point or not step.is_struck_later:
            return
        if point.fault is Fault.KILLED_TOLD:
            self._told.add(step.subject)
        elif self.plan.claim():
            _die()

    def _strikes(self, step: Step, operation: str, fault: Fault) -> bool:
        return self._is_meant(step, operation, fault) and self.plan.claim()

    def _is_meant(self, step: Step, operation: str, fault: Fault) -> bool:
        point = self.plan.read()
        return point is not None and point.matches(step.name, operation, fault, step.subject)

    def wrap(
        self,
        owner: Any,
        name: str,
        operation: str,
        *,
        refuses: Callable[[], Exception],
        loses: Callable[[], Exception],
        step: Callable[..., Step] = lambda *arguments: doing.get(Step("")),
    ) -> None:
        """Inject faults into an asynchronous function or method, which is one effect.

        Args:
            operation: How the plan speaks of it.
            refuses: What it raises when it is refused.
            loses: What it raises when its answer is lost.
            step: Tells from its arguments what it is done for, where no task says so.
        """
        original = getattr(owner, name)

        @wraps(original)
        async def struck(*arguments: Any, **options: Any) -> Any:
            current = step(*arguments)
            if self.before(operation, current):
                raise refuses()
            answer = await original(*arguments, **options)
            if self.after(operation, current):
                raise loses()
            return answer

        setattr(owner, name, struck)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stand_still(temporal_port: int) -> None:
    """Close the connections, as on an unreachable machine; open polls would take the next tasks for a minute."""
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(descriptor))) as connection:
            is_tcp = connection.family in (socket.AF_INET, socket.AF_INET6)
            if is_tcp and connection.getpeername()[1] == temporal_port:
                connection.shutdown(socket.SHUT_RDWR)
    os.kill(os.getpid(), signal.SIGSTOP)
