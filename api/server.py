"""How the API is served over HTTP, and how it stops without losing a request."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Sequence
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.edge.connections import BoundedConfig, ConnectionBounds
from config import memory, tracing

# Seconds for which an idle connection is kept: longer than clients and proxies go on to use one (httpx 5, aiohttp 15,
# nginx 60). A request that arrives on a closing connection gets no answer, and its client cannot know its outcome.
_KEPT: Final = 75
_OTHER_FILES: Final = 500  # connections to our own servers, logs, modules


class _Server(uvicorn.Server):
    """Drains before it stops: `/readyz` says 503, and each answer closes its connection.

    So load balancers and clients have left before the server closes a connection.
    """

    def __init__(self, config: BoundedConfig, app: FastAPI, drain: float) -> None:
        super().__init__(config)
        self._state = app.state
        self._state.draining = False
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._state.draining:
            super().handle_exit(sig, frame)  # a second signal stops at once
            return
        self._state.draining = True
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._drain, super().handle_exit, sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and send the last spans: after it uvicorn raises the signal again, which ends the process."""
        await super().shutdown(sockets)
        tracing.flush()


def serve(app: FastAPI, *, host: str, ports: Sequence[int], bounds: ConnectionBounds, drain: float = 0) -> None:
    """Serve until a signal, and `drain` seconds longer; then requests in flight get some seconds to finish.

    Raises:
        OSError: Another process listens on one of the ports.
    """
    listening = [_listen(host, port) for port in ports]
    memory.configure()
    _allow_files(bounds.connections + _OTHER_FILES)
    config = BoundedConfig(
        app,
        bounds,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEPT,
        timeout_graceful_shutdown=20,
    )
    _Server(config, app, drain).run(listening)


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)


def _allow_files(needed: int) -> None:
    """Raise the soft limit of open files, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
        )
