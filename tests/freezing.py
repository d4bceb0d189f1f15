"""Stops processes that go on later, as SIGSTOP does, but returns only when they stand still."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_STOPPED = "T"


def freeze(pid: int) -> None:
    """Stop all threads of a process; the signal alone may return while some of them still run."""
    os.kill(pid, signal.SIGSTOP)
    while not all(_state(task) == _STOPPED for task in Path(f"/proc/{pid}/task").iterdir()):
        time.sleep(0.005)


def thaw(pid: int) -> None:
    """Let it go on."""
    os.kill(pid, signal.SIGCONT)


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]
