"""A bad network on demand: processes spawned with this environment reach the stack's servers through toxiproxy."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any, Self

import httpx2

from sandbox.testing import free_port
from stack import Stack
from tests.http_client import http_client

# Kafka clients go on with the address that the broker gives them, so its proxy has a port that the broker knows.
BEHIND = {"kafka": "kafka-proxied"}
IN_FRONT = {"kafka": "toxiproxy-kafka"}
UNTIL_HEALED = 0  # a toxic's `timeout`: no end of its own


class Line:
    """The connections of some processes to one server; each fault lasts until `heal`."""

    def __init__(self, http: httpx2.AsyncClient, name: str, port: int) -> None:
        self._http = http
        self.name = name
        self.port = port

    async def slow(self, latency: float, jitter: float = 0) -> None:
        """Delay each response by `latency` seconds, plus or minus `jitter`."""
        await self._poison("latency", latency=round(latency * 1000), jitter=round(jitter * 1000))

    async def cut(self) -> None:
        """Close all connections and refuse new ones."""
        await self._set(enabled=False)

    async def black_hole(self) -> None:
        """Keep and accept connections, but lose all data in both directions."""
        for stream in ("upstream", "downstream"):
            await self._poison("timeout", stream, timeout=UNTIL_HEALED)

    async def reset(self) -> None:
        """Reset each connection when the server responds: the request has taken effect."""
        await self._poison("reset_peer", timeout=UNTIL_HEALED)

    async def heal(self) -> None:
        """Remove all faults; close connections that lost data."""
        await self._set(enabled=True)
        toxics = (await self._http.get(f"/proxies/{self.name}/toxics")).raise_for_status().json()
        for toxic in toxics:
            (await self._http.delete(f"/proxies/{self.name}/toxics/{toxic['name']}")).raise_for_status()

    async def _set(self, *, enabled: bool) -> None:
        (await self._http.post(f"/proxies/{self.name}", json={"enabled": enabled})).raise_for_status()

    async def _poison(self, kind: str, stream: str = "downstream", **attributes: Any) -> None:
        toxic = {"type": kind, "name": f"{kind}_{stream}", "stream": stream, "attributes": attributes}
        (await self._http.post(f"/proxies/{self.name}/toxics", json=toxic)).raise_for_status()


class Network:
    """Lines between the stack's servers and processes that were spawned with `env`; they are gone when it is left.

    Of Kafka's there can be only one at a time in a stack: the next one takes it over.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._http = http_client(f"http://127.0.0.1:{stack.ports['toxiproxy']}")
        self._lines: dict[str, Line] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.values():
            await self._http.delete(f"/proxies/{line.name}")
        await self._http.aclose()

    async def line(self, server: str) -> Line:
        """The line to a server, by the name of its port (`postgres`, `redis`, `temporal`, `smtp`, …), made once."""
        if server not in self._lines:
            ports = self._stack.ports
            port = ports[IN_FRONT[server]] if server in IN_FRONT else free_port()
            proxy = {"name": f"{server}-{port}", "listen": f"127.0.0.1:{port}", "enabled": True}
            upstream = f"127.0.0.1:{ports[BEHIND.get(server, server)]}"
            await self._http.delete(f"/proxies/{proxy['name']}")  # Kafka's, of a test that was killed
            (await self._http.post("/proxies", json=proxy | {"upstream": upstream})).raise_for_status()
            self._lines[server] = Line(self._http, str(proxy["name"]), port)
        return self._lines[server]

    @property
    def env(self) -> dict[str, str]:
        """The SEATWRIGHT_ variables that lead through the lines made so far, for `stack.spawn(…, env=…)`."""
        return {name: led for name, value in self._stack.env.items() if (led := self._lead(value)) != value}

    def _lead(self, value: str) -> str:
        for server, line in self._lines.items():
            value = re.sub(rf"(?:^|(?<=127\.0\.0\.1:)){self._stack.ports[server]}\b", str(line.port), value)
        return value
