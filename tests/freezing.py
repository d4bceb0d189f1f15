"""Pauses processes with SIGSTOP, and returns only when all their threads have stopped."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_STOPPED = "TZX"  # or it has ended
_LONGEST = 60  # seconds; only a process that cannot be stopped takes so long


def freeze(pid: int) -> None:
    """Stop all threads of a process; the signal alone may return while some of them still run."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + _LONGEST
    while not all(_state(task) in _STOPPED for task in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < until, f"process {pid} does not stand still"
        time.sleep(0.005)


def thaw(pid: int) -> None:
    """Let it go on."""
    os.kill(pid, signal.SIGCONT)


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
