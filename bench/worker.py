"""The product's workers and the benchmark's workflows, in one process and with the same options."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop

from bench.processes import running
from bench.textbook import QUEUE, NoOp, TextbookSaga
from config.logging import configure as configure_logging
from config.settings import Settings
from config.tracing import configure as configure_tracing
from stack import Stack
from temporal.connection import connect_worker
from workers.process import run_until_stopped
from workers.temporal import worker


def main(settings: Settings) -> None:
    """Work until a signal stops the process, like `seatwright work`."""
    configure_logging()
    configure_tracing()
    uvloop.run(run_until_stopped(_work, settings, worker.SERVICES))


async def _work(settings: Settings, services: Sequence[str], ready: asyncio.Event, stop: asyncio.Event) -> None:
    client = await connect_worker(settings)
    async with worker.worker(client, QUEUE, [NoOp, TextbookSaga], []):
        await worker.run(settings, services, ready, stop)


@contextmanager
def bench_worker(stack: Stack) -> Iterator[int]:
    """Run the process instead of the stack's `work`, which must not run: it does not have the benchmark's workflows."""
    port = stack.ports["work-metrics"]
    env = {"SEATWRIGHT_METRICS_PORT": str(port)}
    with running(stack, "worker", ready=f"http://127.0.0.1:{port}/readyz", env=env) as pid:
        yield pid
