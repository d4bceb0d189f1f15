"""Detached processes of the operating system: start one, find it again, stop it, and never touch another's."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stack import exec_wrapper, locks
from stack.errors import StackError
from stack.paths import Paths

_KILLED_SECONDS = 60.0
"""What a killed process may take to be gone; a busy machine first has to give back its memory."""


@dataclass(frozen=True)
class Record:
    """Which process that is: a pid alone may by now be someone else's."""

    pid: int
    ticks: int
    boot: str
    started_at: float
    fingerprint: str

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        try:
            return (
                self.boot == exec_wrapper.boot_id()
                and exec_wrapper.start_ticks(self.pid) == self.ticks
                and not _is_dead(self.pid)
            )
        except (FileNotFoundError, ProcessLookupError):
            return False


@dataclass(frozen=True)
class Launch:
    """What to execute: command, environment, folder, and the (uid, gid) to become, if another than ours."""

    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    user: tuple[int, int] | None = None
    fingerprint: str = ""


def record_of(paths: Paths, name: str) -> Record | None:
    """Who was last started under that name, whether or not it still runs."""
    try:
        return Record(**json.loads(paths.record(name).read_text()))
    except FileNotFoundError:
        return None


def running(paths: Paths, name: str) -> Record | None:
    """Who runs under that name now."""
    record = record_of(paths, name)
    return record if record and record.is_alive() else None


def start(paths: Paths, name: str, launch: Launch) -> None:
    """Start it, in a session of its own, if it does not run already. Returns once it is recorded and executed."""
    end_leftovers(paths, name)
    _set_long_log_aside(paths.log(name))
    request = {
        "command": list(launch.command),
        "environment": dict(launch.environment),
        "cwd": str(launch.cwd),
        "user": launch.user,
        "fingerprint": launch.fingerprint,
        "log": str(paths.log(name)),
        "lock": str(paths.lock(name)),
        "record": str(paths.record(name)),
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", exec_wrapper.__file__],
        input=json.dumps(request),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, exec_wrapper.ALREADY_RUNNING):
        raise StackError(f"{name} cannot be executed: {done.stderr.strip()}")


def stop(paths: Paths, name: str, gently: signal.Signals, seconds: float) -> None:
    """Ask the process to end, then kill what is left of its session."""
    record = running(paths, name)
    if record:
        with suppress(ProcessLookupError):
            os.kill(record.pid, gently)
        _wait_for_the_end(record, seconds)
    kill(paths, name)


def kill(paths: Paths, name: str) -> None:
    """SIGKILL to the process and to all others in its session, all at once, as a power failure would."""
    record = running(paths, name)
    if record:
        with suppress(ProcessLookupError):
            os.killpg(record.pid, signal.SIGKILL)
        _wait_for_the_end(record, _KILLED_SECONDS)
    end_leftovers(paths, name)


def end_leftovers(paths: Paths, name: str) -> None:
    """Kill children that outlived their parent: they would hold ports, files and the lock."""
    deadline = time.monotonic() + _KILLED_SECONDS
    # Only while the lock is held can survivors be ours; otherwise another program may have that session number.
    while locks.is_held(paths.lock(name)):
        record = record_of(paths, name)
        if record and record.is_alive():
            return
        for pid in _session(record.pid) if record else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise StackError(f"{name}: something holds {paths.lock(name)} and does not end")
        time.sleep(0.02)


def _wait_for_the_end(record: Record, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while record.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)


def _session(leader: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                if int(_stat(int(entry.name))[3]) == leader:
                    members.append(int(entry.name))
    return members


def _is_dead(pid: int) -> bool:
    # A zombie has ended; that its parent has not yet asked for its exit code changes nothing.
    return _stat(pid)[0] in "ZX"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on: state, parent, group, session and more."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _set_long_log_aside(log: Path, limit: int = 50_000_000) -> None:
    if log.exists() and log.stat().st_size > limit:
        log.replace(log.with_suffix(".log.1"))
