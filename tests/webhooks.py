"""Sends webhooks to the platform, genuine and forged."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import psycopg
from sqlalchemy import make_url

from config.settings import Service, Settings
from tests.provider_settings import webhook_secret


def message(intent: str, type_: str = "payment_intent.amount_capturable_updated", **more: Any) -> bytes:
    """A Stripe message about an intent."""
    about = {"object": "payment_intent", "id": intent}
    return orjson.dumps(
        {"id": f"evt_{uuid4().hex}", "object": "event", "type": type_, "data": {"object": about}, **more}
    )


def signature(body: bytes, *secrets: str, at: float | None = None) -> dict[str, str]:
    """Stripe's signature header, with each of these secrets."""
    signed_at = int(time.time() if at is None else at)
    signed = [hmac.new(key.encode(), f"{signed_at}.".encode() + body, sha256).hexdigest() for key in secrets]
    return {"Stripe-Signature": ",".join([f"t={signed_at}", *(f"v1={each}" for each in signed)])}


async def post(
    http: httpx2.AsyncClient, settings: Settings, body: bytes, headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Send a message, correctly signed unless headers are given."""
    proof = signature(body, webhook_secret(settings)) if headers is None else headers
    return await http.post("/v1/webhooks/stripe", content=body, headers=proof)


def rows(settings: Settings, statement: str, *values: Any, of: Service = "payment") -> list[tuple[Any, ...]]:
    """Query a service's database."""
    url = make_url(settings.database_url(of)).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        return connection.execute(statement, values).fetchall()


def kept(settings: Settings, event_id: str) -> list[tuple[Any, ...]]:
    """The stored record of a message: its booking and its result."""
    return rows(settings, "SELECT booking_id::text, course FROM webhooks WHERE event_id = %s", event_id)
