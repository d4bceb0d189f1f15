"""Starts the sandbox: `python -m sandbox --host 127.0.0.1 --port 8900 --data DIR`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from sandbox.app import serve
from sandbox.registry import APIS
from sandbox.webhooks import Endpoint


def main() -> None:
    """Parse the command line and serve until the process is stopped."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--data", type=Path, required=True, help="data folder; created if missing")
    shop = os.environ.get("SEATWRIGHT_API_URL")
    parser.add_argument(
        "--shop", default=shop, help="address of the API that receives webhooks; none are sent without it"
    )
    arguments = parser.parse_args()
    endpoints = _endpoints(arguments.shop, os.environ) if arguments.shop else {}
    serve(arguments.host, arguments.port, arguments.data, endpoints)


def _endpoints(shop: str, environment: Mapping[str, str]) -> dict[str, Endpoint]:
    """The shop's webhook endpoint at each provider API that is configured with one."""
    return {
        api.name: Endpoint(
            f"{shop}/v1/webhooks/{api.name}",
            tuple(environment.get(api.endpoint.variable, api.endpoint.secrets).split(",")),
            api.endpoint.types,
        )
        for api in APIS
        if api.endpoint
    }


if __name__ == "__main__":
    main()
