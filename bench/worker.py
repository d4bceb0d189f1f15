"""The product's own workers, with the bench's workflows beside them in the same process and under the same options."""

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
    """Work until told to stop, as `seatwright work` does."""
    configure_logging()
    configure_tracing()
    uvloop.run(run_until_stopped(_work, settings, worker.SERVICES))


async def _work(settings: Settings, services: Sequence[str], ready: asyncio.Event, stop: asyncio.Event) -> None:
    client = await connect_worker(settings)
    async with worker.worker(client, QUEUE, [NoOp, TextbookSaga], []):
        await worker.run(settings, services, ready, stop)


@contextmanager
def bench_worker(stack: Stack) -> Iterator[int]:
    """Such a process in place of the stack's `work`, which must not run: it does not know the bench's workflows."""
    port = stack.ports["work-metrics"]
    env = {"SEATWRIGHT_METRICS_PORT": str(port)}
    with running(stack, "worker", ready=f"http://127.0.0.1:{port}/readyz", env=env) as pid:
        yield pid
