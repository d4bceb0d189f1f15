"""A card number in any field of any call is refused by the field's name, and neither repeated nor stored."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from stack import Stack
from tests.platform_client import PlatformClient

NUMBER = "5105 1051 0510 5100"
PLAIN = NUMBER.replace(" ", "")


def problem(answer: httpx2.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["type"].rsplit("/")[-1], body["errors"][0]["field"]


BODIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a name": ("/v1/users", {"email": "a@example.test", "password": "x" * 9, "name": f"Ada {NUMBER}"}, "body.name"),
    "a password": ("/v1/sessions", {"email": "a@example.test", "password": PLAIN}, "body.password"),
    "a seat": ("/v1/bookings", {"event_id": str(uuid4()), "seats": ["A-1-1", PLAIN]}, "body.seats.1"),
    "a section's name": ("/v1/bookings", {"event_id": str(uuid4()), "quantities": {PLAIN: 1}}, "body.quantities"),
    "a number": ("/v1/bookings", {"event_id": str(uuid4()), "quantities": {"A": int(PLAIN)}}, "body.quantities.A"),
    "an unknown field": ("/v1/bookings", {"card": {"number": NUMBER}}, "body.card.number"),
    "a payment method": (f"/v1/bookings/{uuid4()}/payment", {"payment_method": f"pm_{PLAIN}"}, "body.payment_method"),
    "an unknown path": ("/v1/nothing", {"card": PLAIN}, "body.card"),
}


@pytest.mark.parametrize(("path", "body", "field"), BODIES.values(), ids=BODIES)
async def test_a_card_number_in_a_body_is_refused_by_field(
    platform: PlatformClient, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await platform.new_buyer().post(path, body)
    assert problem(answer) == (422, "invalid-request", field)
    assert_not_repeated(answer)


JSON, FORM = "application/json", "application/x-www-form-urlencoded"
HIDDEN = "".join(f"%3{digit}" for digit in PLAIN)
ESCAPED = '{"name": "' + "".join(f"\\u003{digit}" for digit in PLAIN) + '"}'
ODD: dict[str, tuple[str | bytes, str, str]] = {
    "a form": (f"grant_type=refresh_token&refresh_token={PLAIN}", FORM, "body.refresh_token"),
    "a form in quotes, which is JSON": (f'"&a={HIDDEN}&b="', FORM, "body.a"),
    "broken JSON": (f'{{"name": "{PLAIN}", ', JSON, "body"),
    "deep JSON": (b"[" * 15_000 + PLAIN.encode(), JSON, "body"),
    "escaped": (ESCAPED, JSON, "body.name"),
    "escaped after a byte order mark": (ESCAPED.encode("utf-8-sig"), JSON, "body.name"),
    "escaped in UTF-32": (ESCAPED.encode("utf-32-le"), JSON, "body.name"),
    "in UTF-16": (f'{{"name": "{PLAIN}"}}'.encode("utf-16"), JSON, "body.name"),
    "no JSON": (f"<card>{NUMBER}</card>", "text/xml", "body"),
}


@pytest.mark.parametrize(("content", "kind", "field"), ODD.values(), ids=ODD)
async def test_a_card_number_in_an_odd_body_is_refused(
    platform: PlatformClient, content: str | bytes, kind: str, field: str
) -> None:
    answer = await platform.http.post("/v1/oauth/token", content=content, headers={"Content-Type": kind})
    assert problem(answer) == (422, "invalid-request", field)
    assert_not_repeated(answer)


@pytest.mark.parametrize(
    ("path", "headers", "field"),
    [
        (f"/v1/events/{PLAIN}", {}, "path"),
        ("/v1/events/5105%201051%200510%205100/seats", {}, "path"),
        (f"/v1/search?q={PLAIN}", {}, "query.q"),
        ("/v1/search?q=5105.1051.0510.5100", {}, "query.q"),
        ("/v1/search?q=5105+1051+0510+5100", {}, "query.q"),
        ("/v1/search?q=bach", {"Idempotency-Key": f"key-{PLAIN}"}, "Idempotency-Key"),
        ("/v1/search?q=bach", {"X-Request-Id": PLAIN}, "X-Request-Id"),
    ],
)
async def test_a_card_number_around_the_body_is_refused(
    platform: PlatformClient, path: str, headers: dict[str, str], field: str
) -> None:
    answer = await platform.http.get(path, headers=headers)
    assert problem(answer) == (422, "invalid-request", field)
    assert_not_repeated(answer)


@pytest.mark.parametrize("gap", [".", "/", ",", "\u200d", "\u2060", "\u00ad", "\ufe0f"])
async def test_any_character_may_stand_between_the_digits(platform: PlatformClient, gap: str) -> None:
    answer = await platform.new_buyer().post(f"/v1/bookings/{uuid4()}/refund", {"reason": gap.join(NUMBER.split())})
    assert problem(answer) == (422, "invalid-request", "body.reason")


@pytest.mark.parametrize(
    "reason",
    [
        "Please call +90 532 123 45 67",
        "Please call +90 532 123 45 67 or +90 533 123 45 67",
        "IBAN DE89 3704 0044 0532 0130 00",
        "order 2024-11-23-0001",
        "2026-11-23 10:15:30.123456",
        "Bestellnummer 4222222222222",
        "sipariş no 4222222222222",
    ],
)
async def test_telephone_numbers_ibans_orders_and_dates_are_accepted(platform: PlatformClient, reason: str) -> None:
    answer = await platform.new_buyer().post(f"/v1/bookings/{uuid4()}/refund", {"reason": reason})
    assert answer.status_code == 404, "the reason is accepted, and there is no such booking"


async def test_a_refused_card_number_is_in_no_log(platform: PlatformClient, stack: Stack) -> None:
    mine = "5200828282828210"
    await platform.new_buyer().post("/v1/bookings", {"card": mine}, key=mine)
    await platform.http.get(f"/v1/events/{mine}?q={mine}", headers={"X-Request-Id": mine})
    await platform.http.post(f"/v1/{mine}", content=b"\xff" + mine.encode())
    logs = list((stack.paths.folder / "logs").glob("*.log"))
    assert logs
    assert [log.name for log in logs if mine in log.read_text(errors="replace")] == []


async def test_a_number_that_only_resembles_a_card_number_is_accepted(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    for seat, key in enumerate(("1795000000000000", "20261123101500123", uuid4().hex, "5105105105105101"), 1):
        assert (await buyer.hold(event, f"A-1-{seat}", key=key)).status_code == 201


def assert_not_repeated(answer: httpx2.Response) -> None:
    everything = answer.text + str(answer.headers)
    assert PLAIN not in everything
    assert NUMBER not in everything
    assert "5105%20" not in everything
