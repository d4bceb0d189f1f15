"""The plan of one fault: written by the test, read by the processes, executed once."""

from __future__ import annotations

import json
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Fault(StrEnum):
    """The kinds of faults of an effect."""

    KILLED_BEFORE = "killed before"  # the process dies when it is about to make the effect
    KILLED_AFTER = "killed after"  # it dies at once when the effect is made: nothing else of the step is done
    KILLED_UNTOLD = "killed untold"  # the whole step is done, and the process dies before Temporal hears of it
    KILLED_TOLD = "killed told"  # Temporal has recorded the step, and the process dies as it begins the next one
    ANSWER_LOST = "answer lost"  # the effect is made, and its answer times out
    REFUSED = "refused"  # the effect is refused and not made
    LATE = "late"  # the process stands still before the effect, another takes over, and then it makes the effect, too

    @property
    def kills(self) -> bool:
        return self in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.KILLED_UNTOLD, Fault.KILLED_TOLD)


class Point(NamedTuple):
    """The point where a fault occurs.

    Attributes:
        step: The Temporal activity, or the process's name for what no activity does.
        operation: A regular expression that the operation's description matches at its beginning.
        subject: How the subject ends, where a process handles many at a time: `<aggregate's id> <domain event's type>`.
    """

    step: str
    operation: str
    fault: Fault
    subject: str = ""

    def matches(self, step: str, operation: str, fault: Fault, subject: str) -> bool:
        return (
            (step, fault) == (self.step, self.fault)
            and subject.endswith(self.subject)
            and re.match(self.operation, operation, re.DOTALL) is not None
        )


class Plan:
    """At most one fault, in a file; a process claims the fault by renaming the file, so that it occurs exactly once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._struck = path.with_suffix(".struck")
        self._late = path.with_suffix(".late")

    def arm(self, point: Point) -> None:
        """Plan a fault for the next process that reaches this point."""
        self._struck.unlink(missing_ok=True)
        self._late.unlink(missing_ok=True)
        fresh = self._path.with_suffix(".fresh")
        fresh.write_text(json.dumps(point))
        fresh.rename(self._path)

    def disarm(self) -> None:
        """Remove the fault."""
        self._path.unlink(missing_ok=True)

    def read(self) -> Point | None:
        """The point of the pending fault, if any."""
        try:
            step, operation, fault, subject = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        return Point(step, operation, Fault(fault), subject)

    def claim(self) -> bool:
        """Claim the fault for the caller, with its process id; returns whether it succeeded."""
        mine = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.rename(mine)
        except FileNotFoundError:
            return False
        mine.write_text(str(os.getpid()))
        mine.rename(self._struck)
        return True

    def struck(self) -> int | None:
        """The process that had the fault, or None."""
        try:
            return int(self._struck.read_text())
        except FileNotFoundError:
            return None

    def note_late(self) -> None:
        """Record that the stopped process has finished its step."""
        self._late.touch()

    def is_late(self) -> bool:
        """Whether the stopped process has finished its step."""
        return self._late.exists()
