"""PayU sends the merchant a signed notification of each change, and is not delayed by an unreachable merchant."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import Any, NamedTuple

import pytest

from adapters.payment.payu.signatures import HEADER, is_signed
from sandbox.testing import SandboxProcess, free_port
from tests.sandbox.payu_shop import PayUShop


class Mailbox(NamedTuple):
    """A merchant's endpoint for notifications, with the received messages."""

    url: str
    letters: Queue[tuple[bytes, str]]

    def next(self) -> tuple[bytes, str]:
        return self.letters.get(timeout=60)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    letters: Queue[tuple[bytes, str]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            letters.put((body, self.headers[HEADER]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Mailbox(f"http://127.0.0.1:{server.server_port}/payu", letters)
    server.shutdown()
    server.server_close()


@pytest.fixture
def shop(sandbox: SandboxProcess) -> PayUShop:
    return PayUShop(sandbox)


def test_each_change_of_an_order_sends_a_signed_notification(shop: PayUShop, mailbox: Mailbox) -> None:
    order_id, buyer = shop.opened(notifyUrl=mailbox.url)
    steps: dict[str, Callable[[], object]] = {
        "PENDING": lambda: buyer.pay("3ds"),
        "WAITING_FOR_CONFIRMATION": lambda: buyer.answer("approve"),
        "COMPLETED": lambda: shop.capture(order_id),
    }
    for status, step in steps.items():
        step()
        body, signature = mailbox.next()
        told = json.loads(body)["order"]
        assert (told["orderId"], told["status"], told["totalAmount"]) == (order_id, status, "5000")
        assert told["extOrderId"].startswith(shop.booking_id)
        assert is_signed(body, signature, [shop.point.second_key])
        assert not is_signed(body, signature, ["another key"])


def test_a_refund_sends_a_notification_when_it_is_decided(shop: PayUShop, mailbox: Mailbox) -> None:
    order_id = shop.paid(notifyUrl=mailbox.url)
    shop.capture(order_id)
    for _ in ("WAITING_FOR_CONFIRMATION", "COMPLETED"):
        mailbox.next()
    shop.sandbox.fault("processing", shop.booking_id, face="payu", operation="refund")
    number = shop.refund(order_id, extRefundId="r1").json()["refund"]["refundId"]
    assert _refund(mailbox) == (order_id, number, "PENDING")
    shop.sandbox.call("POST", f"/_sandbox/payu/refunds/{number}/settle", {"outcome": "declined"})
    assert _refund(mailbox) == (order_id, number, "CANCELED")


def test_a_refused_call_sends_no_notification(shop: PayUShop, mailbox: Mailbox) -> None:
    order_id = shop.paid(notifyUrl=mailbox.url)
    mailbox.next()
    assert shop.refund(order_id).status_code == 400
    shop.cancel(order_id)
    assert json.loads(mailbox.next()[0])["order"]["status"] == "CANCELED"
    with pytest.raises(Empty):
        mailbox.letters.get_nowait()


def test_an_unreachable_merchant_does_not_delay_a_capture(shop: PayUShop) -> None:
    order_id = shop.paid(notifyUrl=f"http://127.0.0.1:{free_port()}/away")
    assert shop.capture(order_id).status_code == 200


def _refund(mailbox: Mailbox) -> tuple[str, str, str]:
    told = json.loads(mailbox.next()[0])
    return told["orderId"], told["refund"]["refundId"], told["refund"]["status"]


def test_a_notification_that_was_lost_can_be_sent_again(shop: PayUShop, mailbox: Mailbox) -> None:
    manner = {"booking_id": shop.booking_id, "drop": 1}
    shop.sandbox.call("PUT", "/_sandbox/webhooks/manner", manner)
    order_id = shop.paid(notifyUrl=mailbox.url)
    assert shop.sandbox.call("POST", "/_sandbox/webhooks/resend", {"booking_id": shop.booking_id})["resent"] == 1
    assert json.loads(mailbox.next()[0])["order"]["orderId"] == order_id
