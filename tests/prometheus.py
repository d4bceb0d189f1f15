"""Asks the Prometheus of a stack, which reads all of its processes."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from stack import Stack
from stack.servers import prometheus
from tests.http_client import http_client

TOOLS = Path("prometheus-" + prometheus.VERSION)


class Prometheus:
    """A running one."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def ask(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """The series that a query finds now, each with its value."""
        found = await self._get("/api/v1/query", query=query)
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    async def names(self) -> set[str]:
        """The names of all metrics that it has read."""
        return set(await self._get("/api/v1/label/__name__/values"))

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = (await self._get("/api/v1/alerts"))["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    async def targets(self) -> dict[str, str]:
        """Whether each process could be read, by its job."""
        found = (await self._get("/api/v1/targets"))["activeTargets"]
        return {each["labels"]["job"]: each["health"] for each in found}

    async def _get(self, path: str, **parameters: str) -> Any:
        answer = (await self._http.get(path, params=parameters)).json()
        assert answer["status"] == "success", answer
        return answer["data"]


@asynccontextmanager
async def watched_by_prometheus(stack: Stack) -> AsyncIterator[Prometheus]:
    """Start it and the graphs beside the stack; both are stopped at the end. The first time, they are built."""
    await asyncio.to_thread(stack.up, "victoria-metrics", "prometheus")
    try:
        async with http_client(f"http://127.0.0.1:{stack.ports['prometheus']}") as http:
            yield Prometheus(http)
    finally:
        for name in ("prometheus", "victoria-metrics"):
            await asyncio.to_thread(stack.stop, name)


def promtool(stack: Stack, *arguments: str) -> str:
    """What promtool says; it was built with Prometheus.

    Raises:
        AssertionError: It found something wrong.
    """
    program = stack.paths.tools / TOOLS / "promtool"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
