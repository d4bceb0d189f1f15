"""Puts store, ledger, provider APIs and control API together into one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import uvloop
from aiohttp import web

from sandbox.calls import CallLog
from sandbox.control import Control, clear_errors, unknown
from sandbox.faults import Faults
from sandbox.ledger import Ledger
from sandbox.registry import APIS
from sandbox.store import Store
from sandbox.webhook_control import WebhookControl
from sandbox.webhooks import Endpoint, Webhooks

LARGEST_BODY_BYTES = 4 * 1024 * 1024
SHUTDOWN_SECONDS = 0.5
"""Seconds after SIGTERM until hanging calls are cut off."""


def build(folder: Path, endpoints: Mapping[str, Endpoint]) -> web.Application:
    """Build the application on the data in `folder`; it sends webhooks to these endpoints, by provider API."""
    store = Store(folder)
    ledger, faults, log = Ledger(store), Faults(store), CallLog(store)
    webhooks = Webhooks(store)
    apis = {api.name: api.build(store, ledger, faults, log, webhooks) for api in APIS}
    for face, endpoint in endpoints.items():
        webhooks.listen(face, endpoint)
    intents = {name: api.intents for name, api in apis.items()}
    app = web.Application(middlewares=[clear_errors], client_max_size=LARGEST_BODY_BYTES)
    app.add_routes([route for api in apis.values() for route in api.routes()])
    app.add_routes(Control(store, ledger, faults, log, intents).routes())
    app.add_routes([*WebhookControl(webhooks).routes(), web.route("*", "/_sandbox/{rest:.*}", unknown)])
    app.cleanup_ctx.append(webhooks.running)

    async def close(app: web.Application) -> None:
        store.close()

    app.on_cleanup.append(close)
    return app


def serve(host: str, port: int, folder: Path, endpoints: Mapping[str, Endpoint]) -> None:
    """Serve until SIGINT or SIGTERM."""
    web.run_app(
        build(folder, endpoints),
        host=host,
        port=port,
        print=None,
        access_log=None,
        loop=uvloop.new_event_loop(),
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
