"""Every request shape that our gateway sends is valid by Stripe's own OpenAPI description, as stripe-mock reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen
from uuid import UUID

import pytest

from adapters.payment.stripe.gateway import StripeGateway
from domain.money import Money
from domain.payments import GivingBack, Intent, PaymentRejected
from sandbox.testing import free_port

STRIPE_MOCK = "github.com/stripe/stripe-mock@v0.203.0"
TOOLS = Path(__file__).resolve().parents[2] / ".seatwright" / "tools"
BUILD_SECONDS, READY_SECONDS, LOOK_SECONDS = 300, 20.0, 0.02
USUAL_GO = "/usr/local/go/bin/go"
BOOKING = UUID(int=1)
RETURN_URL = "https://shop.example.test/return"
PRICE = Money(amount=5000, currency="EUR")


async def both_lists(gateway: StripeGateway) -> None:
    await gateway.movements(date(2026, 11, 23), None)
    await gateway.movements(date(2026, 11, 23), "balance txn_1")
    await gateway.movements(date(2026, 11, 23), "intents pi_1")


SHAPES: dict[str, Callable[[StripeGateway], Awaitable[Intent | GivingBack | None]]] = {
    "create": lambda gateway: gateway.create(BOOKING, PRICE, key="booking:create:1", return_url=RETURN_URL),
    "confirm": lambda gateway: gateway.confirm("pi_1", "pm_card_visa", return_url=RETURN_URL, key="booking:confirm:1"),
    "retrieve": lambda gateway: gateway.retrieve("pi_1"),
    "capture": lambda gateway: gateway.capture("pi_1", key="booking:capture:1"),
    "void": lambda gateway: gateway.void("pi_1", key="booking:void:1"),
    "refund": lambda gateway: gateway.refund("pi_1", PRICE, key="booking:refund:1"),
    "movements": both_lists,
    "retrieve_refund": lambda gateway: gateway.retrieve_refund("pi_1", key="booking:refund:1"),
}


@pytest.fixture(scope="session")
def stripe_mock() -> Iterator[str]:
    """Address of the running stack's stripe-mock, or of one that is built and started here."""
    given = os.environ.get("SEATWRIGHT_STRIPE_MOCK_URL")
    if given:
        yield given
        return
    port = free_port()
    addresses = ["-http-addr", f"127.0.0.1:{port}", "-https-addr", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen([str(built()), *addresses], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    wait_for(url, process)
    yield url
    process.terminate()
    process.wait(timeout=READY_SECONDS)


def built() -> Path:
    # The version is part of the folder's name, so that a new pin is built and not mistaken for the old one.
    folder = TOOLS / STRIPE_MOCK.rpartition("/")[2].replace("@", "-")
    binary = folder / "stripe-mock"
    if not binary.exists():
        go = shutil.which("go") or USUAL_GO
        environment = {**os.environ, "GOBIN": str(folder)}
        subprocess.run([go, "install", STRIPE_MOCK], env=environment, check=True, timeout=BUILD_SECONDS)
    return binary


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urlopen(url, timeout=1).close()
        except HTTPError:
            return
        except (URLError, OSError):
            time.sleep(LOOK_SECONDS)
    raise RuntimeError("stripe-mock did not start")


@pytest.fixture
async def gateway(stripe_mock: str) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway("sk_test_123", base_url=stripe_mock)
    yield gateway
    await gateway.close()


@pytest.mark.parametrize("name", SHAPES)
async def test_stripe_accepts_the_shape_of_every_request(gateway: StripeGateway, name: str) -> None:
    await SHAPES[name](gateway)  # what is of a wrong shape is refused


async def test_stripe_mock_refuses_a_request_of_a_wrong_shape(gateway: StripeGateway) -> None:
    with pytest.raises(PaymentRejected, match="validation"):
        await gateway.confirm("pi_1", "pm_card_visa", return_url=["no", "url"], key="k")  # type: ignore[arg-type]


def test_every_call_of_the_gateway_has_a_shape_here() -> None:
    methods = {name for name, value in vars(StripeGateway).items() if callable(value) and not name.startswith("_")}
    calls = methods - {"close", "keep_turn"}
    assert calls == SHAPES.keys()
