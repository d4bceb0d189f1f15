"""The processes that chaos kills, freezes and starts: a stack with a second API, relay, consumer, and more workers.

Those called `-far` reach the servers through toxiproxy, the others directly.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from redis.asyncio import Redis

from stack import Stack
from stack.table import usual
from tests.chaos.plan import LINES
from tests.network import Line, Network

SPAWNED = {
    "work-2": "work",
    "work-far": "work",
    "api-far": "api",
    "relay-far": "relay",
    "consume-far": "consume",
}
RESIDENTS = (*(name for name in usual() if name != "migrate"), *SPAWNED)


class Harness:
    """Controls all processes by name; only `make_ready` waits until a process serves."""

    def __init__(self, stack: Stack, lines: dict[str, Line], ports: dict[str, int]) -> None:
        self._stack = stack
        self.lines = lines
        self.api_ports = ports

    async def kill(self, name: str) -> None:
        await asyncio.to_thread(self._stack.kill, name)

    async def start(self, name: str) -> None:
        await asyncio.to_thread(self._stack.start, name, wait=False)

    async def make_ready(self, name: str) -> None:
        """Start it if it does not run, and wait until it serves."""
        await asyncio.to_thread(self._stack.start, name)

    def is_running(self, name: str) -> bool:
        return self._stack.is_running(name)

    def freeze(self, name: str) -> None:
        for pid in self._pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        for pid in reversed(self._pids(name)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def empty_redis(self) -> None:
        async with Redis.from_url(self._stack.env["SEATWRIGHT_REDIS_URL"], socket_timeout=2) as redis:
            await redis.flushall()

    def _pids(self, name: str) -> list[int]:
        leader = self._stack.pid(name)
        if leader is None:
            return []
        with suppress(FileNotFoundError, ProcessLookupError):
            return [leader, *map(int, Path(f"/proc/{leader}/task/{leader}/children").read_text().split())]
        return []


@asynccontextmanager
async def opened(stack: Stack) -> AsyncIterator[Harness]:
    """Every process runs; at the end the processes that were added to the stack stop."""
    await asyncio.to_thread(stack.up, "toxiproxy")
    async with Network(stack) as network:
        lines = {server: await network.line(server) for server in LINES}
        ports = {"api": stack.ports["api"]}
        try:
            for name, like in SPAWNED.items():
                env = network.env if name.endswith("-far") else {}
                spawned = await asyncio.to_thread(stack.spawn, name, like, env=env, wait=False)
                if like == "api":
                    ports[name] = spawned.ports["api"]
            harness = Harness(stack, lines, ports)
            for name in SPAWNED:
                await harness.make_ready(name)
            yield harness
        finally:
            for name in SPAWNED:
                if name in stack.names():
                    await asyncio.to_thread(stack.stop, name)
