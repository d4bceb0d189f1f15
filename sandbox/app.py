"""Puts store, ledger, faces and control API together into one process."""

from __future__ import annotations

from pathlib import Path

import uvloop
from aiohttp import web

from sandbox.calls import CallLog
from sandbox.control import Control, clear_errors
from sandbox.faults import Faults
from sandbox.iyzico.face import IyzicoFace
from sandbox.ledger import Ledger
from sandbox.payu.face import PayUFace
from sandbox.store import Store
from sandbox.stripe.face import StripeFace

LARGEST_BODY_BYTES = 4 * 1024 * 1024
SHUTDOWN_SECONDS = 0.5
"""Calls that hang on purpose are cut off soon after SIGTERM."""


def build(folder: Path) -> web.Application:
    """The application over the data in `folder`."""
    store = Store(folder)
    ledger, faults, log = Ledger(store), Faults(store), CallLog(store)
    stripe = StripeFace(store, ledger, faults, log)
    iyzico = IyzicoFace(store, ledger, faults, log)
    payu = PayUFace(store, ledger, faults, log)
    intents = {"stripe": stripe.intents, "iyzico": iyzico.intents, "payu": payu.intents}
    app = web.Application(middlewares=[clear_errors], client_max_size=LARGEST_BODY_BYTES)
    # The control API comes last: it answers for all paths of its own that nobody else has.
    app.add_routes([*stripe.routes(), *iyzico.routes(), *payu.routes()])
    app.add_routes(Control(store, ledger, faults, log, intents).routes())

    async def close(app: web.Application) -> None:
        await payu.close()
        store.close()

    app.on_cleanup.append(close)
    return app


def serve(host: str, port: int, folder: Path) -> None:
    """Serve until SIGINT or SIGTERM."""
    web.run_app(
        build(folder),
        host=host,
        port=port,
        print=None,
        access_log=None,
        loop=uvloop.new_event_loop(),
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
