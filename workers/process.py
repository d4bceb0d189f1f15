"""The frame of every worker process: readiness and metrics over HTTP, and an orderly stop on a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence

import uvicorn
from prometheus_client import make_asgi_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from config import memory
from config.loop_stalls import stalls_watched
from config.settings import Settings

Work = Callable[[Settings, Sequence[str], asyncio.Event, asyncio.Event], Awaitable[None]]


async def run_until_stopped(work: Work, settings: Settings, names: Sequence[str]) -> None:
    """Run `work` until SIGTERM or SIGINT, or until it fails, and serve `/readyz` and `/metrics`."""
    memory.configure()
    ready, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    serving = _serve(ready, settings.metrics_host, settings.metrics_port) if settings.metrics_port else None
    endpoint = asyncio.create_task(serving) if serving else None
    try:
        async with stalls_watched():
            await work(settings, names, ready, stop)
    finally:
        if endpoint:
            endpoint.cancel()


async def _serve(ready: asyncio.Event, host: str, port: int) -> None:
    def readyz(request: Request) -> Response:
        return PlainTextResponse("ready\n" if ready.is_set() else "starting\n", 200 if ready.is_set() else 503)

    app = Starlette(routes=[Route("/readyz", readyz), Mount("/metrics", make_asgi_app())])
    config = uvicorn.Config(
        app, host=host, port=port, lifespan="off", log_config=None, log_level="warning", access_log=False
    )
    await uvicorn.Server(config)._serve()
