"""How the API is served over HTTP, wherever it runs, and how it leaves without losing a request."""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from config import memory

# Seconds for which an idle connection is kept: longer than clients and proxies go on to use one (httpx 5, aiohttp 15,
# nginx 60), since a request that meets its end gets no answer, and who sent it cannot know whether it was carried out.
_KEPT: Final = 75


class _Server(uvicorn.Server):
    """Told to stop, it first stays for a while: `/readyz` says 503, and each answer closes its connection.

    So load balancers have turned away, and clients have let go of their connections, before any is closed by us.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain: float) -> None:
        super().__init__(config)
        self._state = app.state
        self._state.draining = False
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._state.draining:
            super().handle_exit(sig, frame)  # for the impatient
            return
        self._state.draining = True
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._drain, super().handle_exit, sig, frame)


def serve(app: FastAPI, *, host: str, port: int, drain: float = 0) -> None:
    """Serve until told to stop, and for `drain` seconds more; then requests in flight get some seconds to finish."""
    memory.configure()
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEPT,
        timeout_graceful_shutdown=20,
    )
    _Server(config, app, drain).run()
