"""What a buyer gives for a provider's fraud checks is validated, sealed, sent to that provider, and erased."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from adapters.internal.buyers import open_buyer
from adapters.internal.personal_data import PersonalDataClient, Purpose
from api.auth.tokens import Principal
from api.reservation.buyer_details import seal_buyer
from api.reservation.context import ReservationContext
from api.reservation.schemas import BuyerBody
from config.settings import Settings, secret
from domain.buyers import UNKNOWN, BuyerDetails, SealedBuyer
from domain.identity import Role
from tests.platform_client import PlatformClient
from tests.scenarios.test_exchange import ticket_of
from tests.scenarios.test_outcomes import Registered, register
from tests.scenarios.test_refund_reasons import erase
from tests.waiting import eventually

FULL = {
    "name": "Ada",
    "surname": "Lovelace",
    "email": "Ada@EXAMPLE.org",
    "phone": "+905350000000",
    "identity_number": "74300864791",
    "address": "Moda Cd. 1",
    "city": "Izmir",
    "country": "TR",
}


async def held(platform: PlatformClient) -> tuple[Registered, str]:
    person, event = await register(platform), await platform.event()
    return person, await person.held(event, "A-1-1")


@pytest.mark.parametrize(("provider", "ip"), [("iyzico", "ip"), ("payu", "customer_ip")])
async def test_a_provider_gets_what_the_buyer_gives_with_the_address_of_the_call(
    platform: PlatformClient, provider: str, ip: str
) -> None:
    async def told() -> tuple[Registered, str, str] | None:
        """Or None where identity sealed the details too late: then the payment goes on without them."""
        (person, booking), key = await held(platform), str(uuid4())
        answer = await person.pay(booking, None, provider=provider, key=key, buyer=FULL)
        assert answer.status_code == 202, answer.text
        [intent] = await platform.provider.intents(booking)
        return (person, booking, key) if (intent["buyer"] or {}).get("email") == "Ada@example.org" else None

    person, booking, key = await eventually(told)
    again = await person.pay(booking, None, provider=provider, key=key, buyer=FULL | {"city": "Ankara"})
    assert again.status_code == 202, "the buyer is no part of what makes two calls the same"
    [intent] = await platform.provider.intents(booking)
    assert (intent["buyer"] | intent)[ip] == "127.0.0.1"
    names = ("name", "surname") if provider == "iyzico" else ("firstName", "lastName")
    assert [intent["buyer"][name] for name in names] == ["Ada", "Lovelace"]


async def test_a_payment_without_details_and_one_at_stripe_with_them_go_through(platform: PlatformClient) -> None:
    person, event = await register(platform), await platform.event()
    booking = await person.held(event, "A-1-1")
    assert (await person.pay(booking, buyer=FULL)).status_code == 200
    booking = await person.held(event, "A-1-2")
    assert (await person.pay(booking, None, provider="iyzico")).status_code == 202
    [intent] = await platform.provider.intents(booking)
    assert intent["buyer"]["name"] == "Ticket"


BAD = [
    ({"name": " "}, "name"),
    ({"surname": "x" * 101}, "surname"),
    ({"name": "Ada\x00"}, "name"),
    ({"email": "ada at example.org"}, "email"),
    ({"email": f"{'a' * 250}@example.org"}, "email"),
    ({"phone": "05350000000"}, "phone"),
    ({"identity_number": "1234"}, "identity_number"),
    ({"identity_number": "12 345 678"}, "identity_number"),
    ({"address": ""}, "address"),
    ({"city": "x" * 101}, "city"),
    ({"country": "Turkey"}, "country"),
    ({"country": "tr"}, "country"),
    ({"ip": "203.0.113.7"}, "ip"),
    ("Ada", ""),
]


async def test_bad_details_are_refused_by_name_and_nothing_is_paid(platform: PlatformClient) -> None:
    (buyer, event), wrong = (platform.new_buyer(), await platform.event()), []
    booking = await buyer.held(event, "A-1-1")
    for given, field in BAD:
        answer = await buyer.pay(booking, None, provider="iyzico", buyer=given)
        named = [each["field"] for each in answer.json().get("errors", ())]
        if (answer.status_code, named) != (422, [f"body.buyer.{field}".rstrip(".")]):
            wrong.append(f"{given}: {answer.text}")
        if await buyer.status(booking) != "held":
            wrong.append(f"{given}: the booking is held no more")
    assert not wrong, "\n".join(wrong)
    assert await platform.provider.intents(booking) == []


async def test_a_dearer_seat_is_paid_with_the_buyers_details(platform: PlatformClient) -> None:
    person, event = await register(platform), await platform.event()
    booking = await person.bought(event, "B-1-1")
    more: dict[str, Any] = {"method": None, "provider": "iyzico", "buyer": FULL}
    answer = await person.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1", **more)
    assert answer.status_code == 202, answer.text
    intents = {each["face"]: each for each in await platform.provider.intents(booking["id"])}
    assert intents["iyzico"]["buyer"]["surname"] == "Lovelace"
    path = f"/v1/bookings/{booking['id']}/exchanges/{answer.json()['id']}"
    gone = await platform.http.delete(path, headers=person.headers)
    assert gone.status_code == 200, gone.text


def a_context(settings: Settings, client: PersonalDataClient, host: str) -> ReservationContext:
    request = SimpleNamespace(client=SimpleNamespace(host=host))
    return cast(ReservationContext, SimpleNamespace(personal_data=client, recorder=SimpleNamespace(request=request)))


HOSTS = {"8.8.8.8": "8.8.8.8", "::ffff:8.8.8.8": "8.8.8.8", "2001:4860:4860::8888": None, "testclient": None}
"""What each provider gets for an address from which a buyer pays."""


async def test_details_open_until_their_owner_is_erased(platform: PlatformClient, settings: Settings) -> None:
    person = await register(platform)
    client = PersonalDataClient(settings.identity_address, secret(settings.internal_token), seconds=60)
    caller = cast(Principal, SimpleNamespace(user_id=person.user_id, roles=frozenset({Role.CUSTOMER})))
    given, kept = BuyerBody(name="Ada"), dict[str, SealedBuyer]()
    try:
        for host, ip in HOSTS.items():
            sealed = await seal_buyer(a_context(settings, client, host), caller, "iyzico", given)
            assert sealed
            assert "Ada" not in sealed.model_dump_json()
            assert await open_buyer(client, sealed) == BuyerDetails(name="Ada", ip=ip), host
            other = SealedBuyer(user_id=uuid4(), sealed=sealed.sealed)
            assert await open_buyer(client, other) == UNKNOWN
            kept[host] = sealed
        await erase(platform, person)
        for host, sealed in kept.items():
            assert await open_buyer(client, sealed) == UNKNOWN
            assert await seal_buyer(a_context(settings, client, host), caller, "iyzico", given) is None
            assert await client.open(person.user_id, Purpose.PAYMENT_BUYER, [sealed.sealed]) is None
    finally:
        await client.close()


async def test_a_payment_is_taken_without_details_while_identity_is_away(settings: Settings) -> None:
    client = PersonalDataClient("http://127.0.0.1:9", "our-token")
    caller = cast(Principal, SimpleNamespace(user_id=uuid4()))
    try:
        for provider in ("iyzico", "stripe", None, "nobody"):
            context = a_context(settings, client, "203.0.113.7")
            assert await seal_buyer(context, caller, provider, BuyerBody(name="Ada")) is None
    finally:
        await client.close()
