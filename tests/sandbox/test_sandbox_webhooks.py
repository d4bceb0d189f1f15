"""The sandbox sends Stripe's webhooks: signed, repeated until accepted, and out of order on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from typing import Any

import pytest
import stripe

from sandbox.testing import ControlError, SandboxProcess
from tests.sandbox.shop import Shop

TYPES = [f"payment_intent.{name}" for name in ("requires_action", "amount_capturable_updated", "succeeded", "canceled")]


class Listener:
    """A merchant's endpoint that refuses a given number of times."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, str]] = []
        self.refusals = 0
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.heard.append((body, self.headers["Stripe-Signature"]))
                shop.refusals -= 1
                self.send_response(503 if shop.refusals >= 0 else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def types(self) -> list[str]:
        return [str(json.loads(body)["type"]).removeprefix("payment_intent.") for body, _ in self.heard]


@pytest.fixture
def listener(own_sandbox: SandboxProcess) -> Iterator[Listener]:
    listening = Listener()
    register(own_sandbox, listening, "whsec_new", "whsec_old")
    yield listening
    listening.server.shutdown()
    listening.server.server_close()


@pytest.fixture
def shop(own_sandbox: SandboxProcess) -> Shop:
    return Shop(own_sandbox)


def register(sandbox: SandboxProcess, listener: Listener, *secrets: str) -> None:
    endpoint = {"url": listener.url, "secrets": secrets, "types": TYPES}
    sandbox.call("PUT", "/_sandbox/webhooks/endpoints/stripe", endpoint)


def until(condition: Callable[[], Any], within: float = 120) -> None:
    deadline = monotonic() + within
    while not condition():
        assert monotonic() < deadline, "not in time"
        sleep(0.02)


def messages(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.sandbox.call("GET", f"/_sandbox/webhooks?booking={shop.booking_id}")["messages"]
    return found


def test_stripes_own_library_accepts_the_messages_by_each_secret(shop: Shop, listener: Listener) -> None:
    intent = shop.taken()
    until(lambda: len(listener.heard) == 2)
    assert sorted(listener.types()) == ["amount_capturable_updated", "succeeded"]
    for body, signature in listener.heard:
        for secret in ("whsec_new", "whsec_old"):
            event = stripe.Webhook.construct_event(body, signature, secret)
            assert event.data.object.id == intent.id
            assert event.data.object.metadata["booking_id"] == shop.booking_id


def test_an_unacknowledged_message_is_sent_again_as_the_same_event(shop: Shop, listener: Listener) -> None:
    listener.refusals = 2
    shop.hold()
    until(lambda: len(listener.heard) == 3)
    assert len({json.loads(body)["id"] for body, _ in listener.heard}) == 1
    until(lambda: [(each["tries"], each["status"], each["due"]) for each in messages(shop)] == [(3, 200, None)])


def test_messages_survive_the_death_of_the_sandbox(shop: Shop, listener: Listener, own_sandbox: SandboxProcess) -> None:
    listener.refusals = 1
    shop.hold()
    until(lambda: listener.heard)
    own_sandbox.kill()
    own_sandbox.start()
    register(own_sandbox, listener, "whsec_new")
    until(lambda: messages(shop)[0]["status"] == 200)


def test_only_the_types_that_were_asked_for_are_sent(shop: Shop, listener: Listener) -> None:
    intent = shop.open()
    with pytest.raises(stripe.CardError):
        shop.confirm(intent.id, "pm_card_visa_chargeDeclined")
    shop.api.payment_intents.cancel(intent.id)
    until(lambda: listener.heard)
    assert listener.types() == ["canceled"]


def test_a_manner_loses_doubles_and_resends(shop: Shop, listener: Listener) -> None:
    shop.sandbox.call("PUT", "/_sandbox/webhooks/manner", {"booking_id": shop.booking_id, "drop": 1})
    shop.hold()
    assert [(each["due"], each["tries"]) for each in messages(shop)] == [(None, 0)]
    assert shop.sandbox.call("POST", "/_sandbox/webhooks/resend", {"booking_id": shop.booking_id}) == {"resent": 1}
    until(lambda: len(listener.heard) == 1)
    shop.sandbox.call("PUT", "/_sandbox/webhooks/manner", {"booking_id": shop.booking_id, "double": 1, "seed": 3})
    shop.hold()
    until(lambda: len(listener.heard) == 3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("endpoints/stripe", {"url": "http://x"}),
        ("endpoints/stripe", {"url": "http://x", "secrets": "s", "types": ["t"]}),
        ("manner", {"drop": "often"}),
        ("manner", {"lose": 1}),
        ("manner", {"delay_seconds": -1}),
    ],
)
def test_a_mistake_is_named(sandbox: SandboxProcess, path: str, body: dict[str, Any]) -> None:
    with pytest.raises(ControlError) as refused:
        sandbox.call("PUT", f"/_sandbox/webhooks/{path}", body)
    assert refused.value.status == 400
