"""Real processes with fault injection, forked from a preloaded one: 50 ms instead of 2 s."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import time_machine
import uvloop

from api.app import create_app
from api.edge.connections import ConnectionBounds
from api.server import serve as serve_app
from config.logging import configure as configure_logging
from config.settings import Settings
from config.tracing import configure as configure_tracing
from tests.faults.plan import Plan
from tests.faults.ports import hand_to
from tests.faults.striker import Striker
from workers import consumers, relay
from workers.process import Work, run_until_stopped
from workers.temporal import worker

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload([__name__])

_WORK: dict[str, Work] = {"work": worker.run, "relay": relay.run, "consume": consumers.run}


ON_TIME = timedelta(0)


def start(
    kind: str, settings: Settings, names: Sequence[str], plan: Path, log: Path, ahead: timedelta = ON_TIME
) -> ForkServerProcess:
    """Start a process (`work`, `relay`, `consume`) for these services, with the planned fault.

    Args:
        ahead: How much its clock is ahead of this process's.
    """
    return _start(_work, kind, settings, list(names), plan, log=log, ahead=ahead)


def serve(settings: Settings, port: int, log: Path, ahead: timedelta = ON_TIME) -> ForkServerProcess:
    """Start an API."""
    return _start(_serve, settings, port, log=log, ahead=ahead)


def stop(process: ForkServerProcess) -> None:
    """Kill by SIGKILL: no process needs a clean exit."""
    process.kill()
    process.join()


def _start(target: Callable[..., None], *arguments: object, log: Path, ahead: timedelta) -> ForkServerProcess:
    process = _forking.Process(target=_run, args=(target, arguments, log, ahead), daemon=True)
    process.start()
    return process


def _run(target: Callable[..., None], arguments: Sequence[object], log: Path, ahead: timedelta) -> None:
    _die_with_parent()
    if ahead:
        time_machine.travel(datetime.now(UTC) + ahead, tick=True).start()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    target(*arguments)


def _die_with_parent() -> None:
    """Exit with the fork server, so that killed tests leave no processes behind."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _prepare() -> None:
    configure_logging()
    configure_tracing()


def _work(kind: str, settings: Settings, names: Sequence[str], plan: Path) -> None:
    _prepare()
    hand_to(Striker(Plan(plan), settings.temporal_address))
    # These sweepers find bookings of all namespaces, and would start them in this one.
    for sweeper in ("keep_recovering_workflows", "keep_sweeping_late_payments"):
        setattr(worker, sweeper, _never)
    uvloop.run(run_until_stopped(_WORK[kind], settings, names))


async def _never(*_: object) -> None:
    return None


def _serve(settings: Settings, port: int) -> None:
    _prepare()
    serve_app(create_app(settings), host="127.0.0.1", ports=[port], bounds=ConnectionBounds())
