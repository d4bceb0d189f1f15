"""How the API is served over HTTP, wherever it runs."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from config import memory


def serve(app: FastAPI, *, host: str, port: int) -> None:
    """Serve until told to stop; requests in flight get some seconds to finish."""
    memory.configure()
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
    )
