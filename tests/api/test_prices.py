"""What cannot be paid is refused when an event is drafted, and clients can read beforehand what can be paid."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from adapters.payment.registry import PROVIDERS
from tests.api.conftest import ByToken
from tests.api.people import problem

Body = dict[str, Any]


def priced(new_event: Body, currency: str, price: int, providers: list[str] | None = None) -> Body:
    seated, general = new_event["sections"]
    return new_event | {
        "currency": currency,
        "sections": [seated | {"price": price}, general | {"price": 0}],
        "providers": providers,
    }


@pytest.mark.parametrize(
    ("currency", "price", "providers", "words"),
    [
        ("EUR", 25, None, "section A: EUR 0.25 cannot be paid by stripe: EUR 0.50 to EUR 999999.99"),
        ("EUR", 49, ["payu", "stripe"], "stripe: EUR 0.50"),
        ("EUR", 100_000_000, ["payu"], "payu: EUR 0.01 to EUR 999999.99"),
        ("HUF", 10_000, None, "stripe: HUF 175.00"),
        ("JPY", 40, None, "stripe: JPY 50 to JPY 9999999999"),
        ("KWD", 12_345, None, "in steps of KWD 0.010"),
        ("MGA", 5050, None, "in steps of MGA 1.00"),
        ("MGA", 250, None, "stripe: MGA 50.00"),
        ("ISK", 1_000_000, None, "to ISK 999999"),
        ("IDR", 999_999_999_999, None, ""),
        ("IDR", 150_000_000, None, ""),
        ("COP", 30_000_000, None, ""),
        ("LBP", 500_000_000, None, ""),
        ("KWD", 12_340, None, ""),
        ("MGA", 25_000, None, ""),
        ("EUR", 25, ["payu"], ""),
        ("HUF", 10_000, ["payu"], ""),
        ("XDR", 0, None, "is not a currency"),
        ("GHS", 5000, None, "section A: no payment provider takes GHS"),
        ("GHS", 0, None, ""),
        ("EUR", 0, ["stripe"], ""),
    ],
)
async def test_a_price_that_cannot_be_paid_is_refused_with_its_section_and_limits(
    client: httpx2.AsyncClient,
    by_token: ByToken,
    new_event: Body,
    currency: str,
    price: int,
    providers: list[str] | None,
    words: str,
) -> None:
    organizer = by_token("organizer")
    body = priced(new_event, currency, price, providers)
    answer = await client.post("/v1/events", json=body, headers=organizer.headers)
    if not words:
        assert answer.status_code == 201, answer.text
        assert answer.json()["sections"][0]["price"] == price
        published = await client.post(f"/v1/events/{answer.json()['id']}/publish", headers=organizer.headers)
        assert published.status_code == 200, published.text
        return
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert words in answer.text
    assert answer.json()["errors"][0]["field"] in ("body.sections.0.price", "body.currency")


@pytest.mark.parametrize("currency", ["ZZZ", "XXX", "XTS", "XAU", "BGN", "DEM"])
async def test_a_code_that_is_no_currency_to_pay_in_is_refused(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body, currency: str
) -> None:
    organizer = by_token("organizer")
    for price in (4500, 0):
        body = priced(new_event, currency, price)
        answer = await client.post("/v1/events", json=body, headers=organizer.headers)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.currency")


async def test_every_section_that_cannot_be_paid_is_named(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body
) -> None:
    organizer = by_token("organizer")
    seated, general = new_event["sections"]
    cheap = new_event | {"sections": [seated | {"price": 25}, general | {"price": 30}]}
    answer = await client.post("/v1/events", json=cheap, headers=organizer.headers)
    fields = [error["field"] for error in answer.json()["errors"]]
    assert fields == ["body.sections.0.price", "body.sections.1.price"]
    assert "section Standing" in answer.json()["errors"][1]["message"]


@pytest.mark.parametrize(
    ("currency", "names"),
    [
        ("EUR", ["iyzico", "payu", "stripe"]),
        ("TRY", ["iyzico", "stripe"]),
        ("MGA", ["stripe"]),
        ("GHS", []),
        ("ZZZ", []),
    ],
)
async def test_clients_read_by_what_an_event_may_be_paid(
    client: httpx2.AsyncClient, currency: str, names: list[str]
) -> None:
    answer = await client.get("/v1/providers", params={"currency": currency})
    assert answer.status_code == 200, answer.text
    assert [each["name"] for each in answer.json()["providers"]] == names
    for each in answer.json()["providers"]:
        limits = PROVIDERS[each["name"]].currencies[currency]
        shown = {"minimum": limits.minimum, "maximum": limits.maximum, "step": limits.step}
        assert each["currencies"] == [{"currency": currency, **shown}]
        assert each["takes_payment_method"] is (each["name"] == "stripe")


async def test_without_a_currency_every_provider_is_shown_with_all_of_its_own(client: httpx2.AsyncClient) -> None:
    shown = (await client.get("/v1/providers")).json()["providers"]
    assert {each["name"]: [own["currency"] for own in each["currencies"]] for each in shown} == {
        name: sorted(provider.currencies) for name, provider in PROVIDERS.items()
    }


@pytest.mark.parametrize("currency", ["eur", "EURO", "E", "€"])
async def test_a_currency_that_is_no_code_is_refused(client: httpx2.AsyncClient, currency: str) -> None:
    answer = await client.get("/v1/providers", params={"currency": currency})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.currency")
