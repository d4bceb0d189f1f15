"""Starts the sandbox: `python -m sandbox --host 127.0.0.1 --port 8900 --data DIR`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sandbox.app import serve
from sandbox.iyzico import messages as iyzico
from sandbox.stripe import messages as stripe
from sandbox.webhooks import Endpoint


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--data", type=Path, required=True, help="data folder; created if missing")
    shop, secret = os.environ.get("SEATWRIGHT_API_URL"), os.environ.get("SEATWRIGHT_STRIPE_WEBHOOK_SECRETS")
    parser.add_argument(
        "--shop", default=shop, help="address of the API that receives webhooks; none are sent without it"
    )
    parser.add_argument("--stripe-secrets", default=secret, help="secrets that sign Stripe's messages, comma-separated")
    iyzico_secret = os.environ.get("SEATWRIGHT_IYZICO_SECRET_KEY")
    parser.add_argument("--iyzico-secret", default=iyzico_secret, help="secret that signs iyzico's messages")
    arguments = parser.parse_args()
    endpoints = {}
    if arguments.shop and arguments.stripe_secrets:
        url = f"{arguments.shop}/v1/webhooks/stripe"
        endpoints["stripe"] = Endpoint(url, tuple(arguments.stripe_secrets.split(",")), stripe.WANTED)
    if arguments.shop and arguments.iyzico_secret:
        url = f"{arguments.shop}/v1/webhooks/iyzico"
        endpoints["iyzico"] = Endpoint(url, (arguments.iyzico_secret,), iyzico.WANTED)
    serve(arguments.host, arguments.port, arguments.data, endpoints)


if __name__ == "__main__":
    main()
