"""Lanes: an API and a worker with their own Temporal namespace, so that many faults can run in parallel.

In a lane one booking lives at a time: a process that dies there harms no other booking.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from config.settings import Settings
from sandbox.testing import free_port
from stack.probes import SEARCH_ATTRIBUTES
from tests.faults import processes
from tests.faults.plan import Fault, Plan
from tests.faults.scenarios import WITHIN
from tests.http_client import http_client
from tests.waiting import eventually
from workers.temporal import worker

_DAY = 86400


class Workers:
    """A worker process that is replaced when it dies."""

    def __init__(
        self, kind: str, settings: Settings, names: Sequence[str], folder: Path, ahead: timedelta = processes.ON_TIME
    ) -> None:
        self._kind, self._settings, self._names, self._ahead = kind, settings, names, ahead
        self._path, self._log = folder / f"{kind}-{names[0]}.plan", folder / f"{kind}-{names[0]}.log"
        self.plan = Plan(self._path)
        self.exits: dict[int, int] = {}
        self._relief: ForkServerProcess | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping
        if self._relief:
            processes.stop(self._relief)

    async def was_struck(self, fault: Fault) -> None:
        """Check that the planned fault has occurred, and that the process has died if it should."""

        async def struck() -> int | None:
            return self.plan.struck()

        process = await eventually(struck, within=WITHIN)
        if fault.kills:
            assert await eventually(lambda: self.exits.get(process)) == -signal.SIGKILL

    async def settle(self) -> None:
        """Remove the fault and resume the process, so that the next booking has one running process."""
        self.plan.disarm()
        if self._relief and self._process.pid:
            os.kill(self._process.pid, signal.SIGKILL)
            await eventually(lambda: self._relief is None)

    async def _keep(self) -> None:
        while True:
            self._process, self._relief = self._relief or self._start(), None
            process = self._process
            try:
                await _end_of(process)
            finally:
                processes.stop(process)
            self.exits[process.pid or 0] = process.exitcode or 0

    def _start(self) -> ForkServerProcess:
        return processes.start(self._kind, self._settings, self._names, self._path, self._log, self._ahead)

    async def stands_still(self) -> int:
        """Wait until the process is stopped by a delay fault; returns its id."""
        struck = await eventually(self.plan.struck, within=WITHIN) or 0
        state = Path(f"/proc/{struck}/stat")
        await eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
        return struck

    async def relieve(self) -> None:
        """Start another process when this one is stopped."""
        await self.stands_still()
        self._relief = self._start()

    async def wake(self) -> None:
        """Let the stopped process finish its step too late; then it exits, and its replacement stays."""
        late = await self.stands_still()
        os.kill(late, signal.SIGCONT)
        await eventually(self.plan.is_late, within=60)
        os.kill(late, signal.SIGKILL)
        await eventually(lambda: late in self.exits)


async def _end_of(process: ForkServerProcess) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)


class Lane:
    """Attributes: settings: as its processes have them, so that a `PlatformClient` of these buys in this lane."""

    def __init__(self, settings: Settings, workers: Workers) -> None:
        self.settings = settings
        self.workers = workers


@asynccontextmanager
async def lane(
    base: Settings,
    folder: Path,
    *,
    workers_base: Settings | None = None,
    api_ahead: timedelta = processes.ON_TIME,
    workers_ahead: timedelta = processes.ON_TIME,
) -> AsyncIterator[Lane]:
    """Open a lane; closing it ends all its processes.

    Args:
        folder: A new one, for its logs and plans.
        workers_base: Settings of the worker, where its way to the servers is another.
        api_ahead: How much the API's clock is ahead of the test's; `workers_ahead`: the same for the workers.
    """
    namespace = {"temporal_namespace": f"faults-{uuid4()}"}
    port = free_port()
    # A dead worker is detected after ten seconds, before the deadlines of the command and of the hold.
    own = {"api_url": f"http://127.0.0.1:{port}", "payment_wait": 60.0, "payment_window": 120.0}
    settings = base.model_copy(update=namespace | own)
    await asyncio.to_thread(folder.mkdir, parents=True)
    await _make_namespace(settings)
    api = processes.serve(settings, port, folder / "api.log", api_ahead)
    try:
        working = (workers_base or base).model_copy(update=namespace)
        async with Workers("work", working, worker.SERVICES, folder, workers_ahead) as workers:
            await _serving(settings)
            yield Lane(settings, workers)
    finally:
        processes.stop(api)


async def _make_namespace(settings: Settings) -> None:
    client = await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=settings.temporal_namespace, workflow_execution_retention_period=Duration(seconds=_DAY)
        )
    )
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    attributes = AddSearchAttributesRequest(
        namespace=settings.temporal_namespace, search_attributes=dict.fromkeys(SEARCH_ATTRIBUTES, keyword)
    )

    async def known() -> bool:
        await client.operator_service.add_search_attributes(attributes)
        return True

    await eventually(_patiently(known), within=WITHIN)


async def _serving(settings: Settings) -> None:
    async with http_client(settings.api_url) as http:

        async def ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await eventually(_patiently(ready), within=WITHIN)


def _patiently(question: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    """For `eventually`: an unreachable server counts as not yet true."""

    async def asked() -> bool:
        try:
            return bool(await question())
        except Exception as error:
            raise AssertionError(repr(error)) from error

    return asked
