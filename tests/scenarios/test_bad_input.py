"""Invalid input gets a problem that names the field, changes nothing, and never causes a 5xx."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.platform_client import PlatformClient

EVENT = "the event"  # replaced by a published event's id

HOLDS: dict[str, tuple[dict[str, Any], int, str]] = {
    "no seats": ({"event_id": EVENT}, 422, "invalid-request"),
    "51 seats": ({"event_id": EVENT, "seats": [f"A-1-{n}" for n in range(1, 52)]}, 422, "invalid-request"),
    "51 places": ({"event_id": EVENT, "seats": ["A-1-1"], "quantities": {"Standing": 50}}, 422, "invalid-request"),
    "a seat twice": ({"event_id": EVENT, "seats": ["A-1-1", "A-1-1"]}, 422, "invalid-request"),
    "a seat misspelled": ({"event_id": EVENT, "seats": ["A-1-01"]}, 422, "invalid-request"),
    "no seat's name": ({"event_id": EVENT, "seats": ["first row"]}, 422, "invalid-request"),
    "an unknown section": ({"event_id": EVENT, "seats": ["Z-1-1"]}, 422, "unknown-seats"),
    "an unknown row": ({"event_id": EVENT, "seats": ["A-99-1"]}, 422, "unknown-seats"),
    "an unknown number": ({"event_id": EVENT, "seats": ["A-1-99"]}, 422, "unknown-seats"),
    "a huge number": ({"event_id": EVENT, "seats": ["A-1-99999999999999999999"]}, 422, "unknown-seats"),
    "a seat of a standing section": ({"event_id": EVENT, "seats": ["Standing-1-1"]}, 422, "unknown-seats"),
    "a quantity of a seated section": ({"event_id": EVENT, "quantities": {"A": 1}}, 422, "unknown-seats"),
    "a quantity of nothing": ({"event_id": EVENT, "quantities": {"Standing": 0}}, 422, "invalid-request"),
    "a negative quantity": ({"event_id": EVENT, "quantities": {"Standing": -1}}, 422, "invalid-request"),
    "half a place": ({"event_id": EVENT, "quantities": {"Standing": 1.5}}, 422, "invalid-request"),
    "an unknown event": (
        {"event_id": "00000000-0000-4000-8000-000000000000", "seats": ["A-1-1"]},
        409,
        "event-not-on-sale",
    ),
    "no event": ({"seats": ["A-1-1"]}, 422, "invalid-request"),
    "an event that is no id": ({"event_id": "1; DROP TABLE seats", "seats": ["A-1-1"]}, 422, "invalid-request"),
    "a price of one's own": ({"event_id": EVENT, "seats": ["A-1-1"], "amount": 1}, 422, "invalid-request"),
    "a NUL": ({"event_id": EVENT, "seats": ["A\u0000-1-1"]}, 422, "unknown-seats"),
}


async def test_a_wrong_hold_is_refused_and_changes_nothing(platform: PlatformClient) -> None:
    (event, buyer), wrong = (await platform.event(rows=1, seats_per_row=60), platform.new_buyer()), []
    for number, (name, (body, status, problem)) in enumerate(HOLDS.items()):
        wished = {k: event if v == EVENT else v for k, v in body.items()}
        answer = await buyer.post("/v1/bookings", wished, key=f"k{number}")
        if is_not(answer, status, problem):
            wrong.append(f"{name}: {answer.status_code} {answer.text}")
        if (await buyer.get("/v1/me/bookings")).json()["bookings"]:
            wrong.append(f"{name}: there is a booking")
        if await platform.free_places(event, "Standing") != 100:
            wrong.append(f"{name}: places are taken")
    assert not wrong, "\n".join(wrong)


def is_not(answer: httpx2.Response, status: int, problem: str) -> bool:
    """Whether an answer is anything but this problem."""
    kind = answer.headers["content-type"]
    told = answer.json()["type"].rsplit("/")[-1] if kind == "application/problem+json" else kind
    return (answer.status_code, told) != (status, problem)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[]", 422),
        (b'"x"', 422),
        (b"\xff\xfe", 400),
        (b"{" * 30_000, 400),
        (b"[" * 30_000, 422),
        (b" " * 70_000, 413),
    ],
    ids=["empty", "broken", "a list", "a string", "no UTF-8", "braces", "deep", "huge"],
)
async def test_a_broken_body_is_refused(platform: PlatformClient, content: bytes, status: int) -> None:
    headers = platform.new_buyer().headers | {"Content-Type": "application/json"}
    answer = await platform.http.post("/v1/bookings", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


PAYMENTS: dict[str, tuple[Any, int, str]] = {
    "an unknown provider": ({"provider": "bitcoin"}, 422, "unknown-provider"),
    "no provider": ({}, 422, "invalid-request"),
    "no method": ({"provider": "stripe"}, 422, "invalid-request"),
    "a card number": ({"provider": "stripe", "payment_method": "4242424242424242"}, 422, "invalid-request"),
    "an amount": ({"provider": "stripe", "payment_method": "pm_card_visa", "amount": 1}, 422, "invalid-request"),
    "an unknown method": ({"provider": "stripe", "payment_method": "pm_no_such_thing"}, 422, "payment-rejected"),
}


async def test_a_wrong_payment_is_refused_and_the_booking_stays_held(platform: PlatformClient) -> None:
    (event, buyer), wrong = (await platform.event(), platform.new_buyer()), []
    booking = await buyer.held(event, "A-1-1")
    for name, (body, status, problem) in PAYMENTS.items():
        answer = await buyer.post(f"/v1/bookings/{booking}/payment", body)
        if is_not(answer, status, problem) or "4242424242424242" in answer.text:
            wrong.append(f"{name}: {answer.status_code} {answer.text}")
        if (await buyer.status(booking), await platform.provider.kept(booking)) != ("held", 0):
            wrong.append(f"{name}: the booking is not as it was")
    assert not wrong, "\n".join(wrong)
    assert (await buyer.pay(booking)).status_code == 200


async def test_another_persons_booking_is_as_if_it_did_not_exist(platform: PlatformClient) -> None:
    event, owner, other = await platform.event(), platform.new_buyer(), platform.new_buyer()
    booking = await owner.held(event, "A-1-1")
    for answer in (await other.get(f"/v1/bookings/{booking}"), await other.pay(booking), await other.cancel(booking)):
        assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (404, "not-found")
    assert await owner.status(booking) == "held"


@pytest.mark.parametrize("path", ["/v1/bookings/00000000-0000-4000-8000-000000000000", "/v1/bookings/no-id"])
async def test_an_unknown_booking_is_not_found(platform: PlatformClient, path: str) -> None:
    assert (await platform.new_buyer().get(path)).status_code in (404, 422)


async def test_a_booking_that_is_over_cannot_be_paid(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await buyer.cancel(booking)
    answer = await buyer.pay(booking)
    assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (409, "wrong-state")


async def test_a_booking_requires_a_token(platform: PlatformClient) -> None:
    answer = await platform.http.post("/v1/bookings", json={})
    assert answer.status_code == 401


async def test_a_bad_idempotency_key_is_refused(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    body = {"event_id": event, "seats": ["A-1-1"]}
    for name, key in {"empty": "", "long": "x" * 256, "space": "a b"}.items():
        answer = await platform.http.post("/v1/bookings", json=body, headers=buyer.headers | {"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (422, "invalid-request"), name
