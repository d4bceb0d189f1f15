"""CPU time by process from the kernel: of a process with all its descendants, including ended ones."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

Cpu = Mapping[str, float]
"""CPU seconds by name."""


class Meter:
    """Reads the CPU time of named processes.

    Args:
        pids: The root of each process tree, by name.
        own: The name for this process itself, without its children; not read if empty.
    """

    def __init__(self, pids: Mapping[str, int], own: str = "") -> None:
        self._pids = pids
        self._own = own

    def read(self) -> Cpu:
        """The CPU seconds that each has used since its start."""
        processes = dict(_processes())
        children: dict[int, list[int]] = defaultdict(list)
        for pid, (parent, _) in processes.items():
            children[parent].append(pid)
        used = {name: sum(processes[each][1] for each in _tree(pid, children)) for name, pid in self._pids.items()}
        return used | ({self._own: time.process_time()} if self._own else {})


def between(before: Cpu, after: Cpu) -> Cpu:
    """The CPU seconds between two readings."""
    return {name: after[name] - before[name] for name in after}


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for each, (parent, _) in _processes():
        children[parent].append(each)
    return list(_tree(pid, children))


def _tree(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, ()):
        yield from _tree(child, children)


def _processes() -> Iterator[tuple[int, tuple[int, float]]]:
    """The parent and the CPU seconds of each process, including its reaped children."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = stat.rpartition(")")[2].split()  # from the third field on: state, parent, …
            yield int(entry.name), (int(fields[1]), sum(map(int, fields[11:15])) / _TICKS_A_SECOND)
