"""A provider's fraud checks get what the buyer has given, and placeholders for nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.internal.buyers import open_buyer
from adapters.internal.personal_data import PersonalDataClient
from adapters.payment.iyzico.gateway import IyzicoGateway
from adapters.payment.payu.gateway import PayUGateway
from domain.buyers import UNKNOWN, BuyerDetails, SealedBuyer
from domain.money import Money
from domain.payment_gateway import PaymentGateway
from sandbox.payu.points import POINTS
from sandbox.testing import SandboxProcess
from tests.sandbox.iyzico_shop import API_KEY, SECRET_KEY

PRICE = Money(amount=5000, currency="EUR")
RETURN_URL = "https://shop.example.test/"
POINT = POINTS["300746"]
FULL = BuyerDetails(
    name="Ada",
    surname="Lovelace",
    email="ada@example.org",
    phone="+905350000000",
    identity_number="74300864791",
    address="Moda Cd. 1",
    city="Izmir",
    country="NL",
    ip="203.0.113.7",
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("buyers-sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def gateways(sandbox: SandboxProcess) -> AsyncIterator[Mapping[str, PaymentGateway]]:
    made: dict[str, PaymentGateway] = {
        "iyzico": IyzicoGateway(API_KEY, SECRET_KEY, base_url=sandbox.url),
        "payu": PayUGateway(
            POINT.id,
            POINT.client_secret,
            notify_url=f"{sandbox.url}/nowhere",
            validity_seconds=900,
            base_url=f"{sandbox.url}/payu",
        ),
    }
    yield made
    for gateway in made.values():
        await gateway.close()


async def told(sandbox: SandboxProcess, gateway: PaymentGateway, buyer: BuyerDetails) -> tuple[UUID, dict[str, Any]]:
    """Open an intent for a booking; what the provider was told with it."""
    booking = uuid4()
    await gateway.create(booking, PRICE, key=f"{booking}:create:1", return_url=RETURN_URL, buyer=buyer)
    [intent] = sandbox.call("GET", f"/_sandbox/intents?booking={booking}")["intents"]
    return booking, intent


GIVEN_TO_IYZICO = {
    "name": "Ada",
    "surname": "Lovelace",
    "email": "ada@example.org",
    "gsmNumber": "+905350000000",
    "identityNumber": "74300864791",
    "registrationAddress": "Moda Cd. 1",
    "city": "Izmir",
    "country": "Netherlands",
    "ip": "203.0.113.7",
}
PLACEHOLDERS = {
    "name": "Ticket",
    "surname": "Buyer",
    "email": "{booking}@buyers.seatwright.example",
    "identityNumber": "11111111111",
    "registrationAddress": "Not collected",
    "city": "Istanbul",
    "country": "Turkey",
    "ip": "127.0.0.1",
}
OURS = {"phone": "gsmNumber", "identity_number": "identityNumber", "address": "registrationAddress"}


@pytest.mark.parametrize("left_out", [None, *BuyerDetails.model_fields])
async def test_iyzico_gets_a_placeholder_only_for_what_was_not_given(
    sandbox: SandboxProcess, gateways: Mapping[str, PaymentGateway], left_out: str | None
) -> None:
    buyer = FULL.model_copy(update={left_out: None}) if left_out else FULL
    booking, intent = await told(sandbox, gateways["iyzico"], buyer)
    expected = dict(GIVEN_TO_IYZICO)
    if left_out:
        name = OURS.get(left_out, left_out)
        expected.pop(name)
        expected |= {name: PLACEHOLDERS[name].format(booking=booking)} if name in PLACEHOLDERS else {}
    assert intent["buyer"] == expected | {"id": str(booking)}


async def test_iyzico_gets_placeholders_where_nothing_is_known(
    sandbox: SandboxProcess, gateways: Mapping[str, PaymentGateway]
) -> None:
    booking, intent = await told(sandbox, gateways["iyzico"], UNKNOWN)
    assert intent["buyer"] == {name: text.format(booking=booking) for name, text in PLACEHOLDERS.items()} | {
        "id": str(booking)
    }


PAYU_FULL = {"email": "ada@example.org", "phone": "+905350000000", "firstName": "Ada", "lastName": "Lovelace"}


@pytest.mark.parametrize(
    ("buyer", "expected", "ip"),
    [
        (FULL, PAYU_FULL, "203.0.113.7"),
        (FULL.model_copy(update={"phone": None}), {name: PAYU_FULL[name] for name in PAYU_FULL if name != "phone"},
         "203.0.113.7"),
        (FULL.model_copy(update={"email": None}), None, "203.0.113.7"),
        (FULL.model_copy(update={"ip": "2001:db8::1"}), PAYU_FULL, "2001:db8::1"),
        (UNKNOWN, None, "127.0.0.1"),
    ],
)  # fmt: skip
async def test_payu_gets_the_buyer_where_an_address_is_given(
    sandbox: SandboxProcess,
    gateways: Mapping[str, PaymentGateway],
    buyer: BuyerDetails,
    expected: dict[str, str] | None,
    ip: str,
) -> None:
    _, intent = await told(sandbox, gateways["payu"], buyer)
    assert (intent["buyer"], intent["customer_ip"]) == (expected, ip)


async def test_a_payment_goes_on_with_placeholders_while_identity_is_away() -> None:
    client = PersonalDataClient("http://127.0.0.1:9", "our-token")
    assert await open_buyer(client, SealedBuyer(user_id=uuid4(), sealed="AAAA")) == UNKNOWN
    await client.close()
