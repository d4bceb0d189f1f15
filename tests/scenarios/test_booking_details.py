"""A booking says the same of itself everywhere: read, listed, streamed, and in the answers to commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.buyer import CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.waiting import eventually

REFUSED_AFTER_3DS = "pm_card_threeDSecureRequiredChargeDeclined"


async def listed(buyer: Buyer, booking: str) -> dict[str, Any]:
    """The booking in its buyer's list."""
    page = (await buyer.get("/v1/me/bookings")).json()["bookings"]
    found: dict[str, Any] = next(each for each in page if each["id"] == booking)
    return found


async def streamed(buyer: Buyer, booking: str) -> dict[str, Any]:
    """The first state of the booking's stream."""
    path = f"/v1/bookings/{booking}/stream"
    async with buyer._http.stream("GET", path, headers=buyer.headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                body: dict[str, Any] = orjson.loads(line.removeprefix("data:"))
                return body
    raise AssertionError("the stream is empty")


async def read_alike(buyer: Buyer, booking: str) -> dict[str, Any]:
    """What the booking says by every way of reading it."""
    read = await buyer.booking(booking)
    assert await listed(buyer, booking) == read
    assert await streamed(buyer, booking) == read
    return read


async def test_a_booking_says_the_same_by_every_way_from_hold_to_ticket(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    held = (await buyer.hold(event, "A-1-1", quantities={"Standing": 2})).json()
    assert await read_alike(buyer, held["id"]) == held
    about = held["event"]
    assert (about["venue"], about["city"], about["timezone"]) == ("Hall", "Utrecht", "Europe/Amsterdam")
    local = datetime.fromisoformat(about["starts_at_local"])
    assert local == datetime.fromisoformat(about["starts_at"])
    assert local.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
    assert [(place["seat"], place["quantity"], place["price"]) for place in held["places"]] == [
        ("A-1-1", 1, 5000), (None, 2, 3000),
    ]  # fmt: skip
    assert held["next_action"]["type"] == "pay"
    paid = (await buyer.pay(held["id"])).json()
    assert await read_alike(buyer, held["id"]) == paid
    assert [(ticket["price"], ticket["status"]) for ticket in paid["tickets"]] == [
        (5000, "valid"), (3000, "valid"), (3000, "valid"),
    ]  # fmt: skip
    assert (paid["next_action"], paid["under_way"], paid["void_tickets"]) == (None, None, [])


async def test_a_repeated_hold_gets_its_first_answer_also_after_a_decline(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    first = await buyer.hold(event, "A-1-1", key="the-same-key-00000")
    assert (await buyer.pay(first.json()["id"], DECLINED_CARD)).status_code == 402
    again = await buyer.hold(event, "A-1-1", key="the-same-key-00000")
    assert (again.status_code, again.json() | {"expires_at": ""}) == (201, first.json() | {"expires_at": ""})


async def test_a_booking_says_where_its_buyer_has_to_act(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    waiting = await buyer.pay(booking, CARD_WITH_3DS)
    assert waiting.status_code == 202
    told = await read_alike(buyer, booking)
    assert told == waiting.json()
    assert told["next_action"]["type"] == "redirect_to_url"
    assert told["under_way"] == {"kind": "payment", "id": None}
    await platform.provider.act(told["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "action_required", "paying", "confirmed")
    confirmed = await eventually(lambda: _confirmed(buyer, booking), within=30)
    assert confirmed["next_action"] is None


async def _confirmed(buyer: Buyer, booking: str) -> dict[str, Any] | None:
    now = await buyer.booking(booking)
    return now if now["status"] == "confirmed" else None


@pytest.mark.parametrize("way", ["declined at once", "declined after 3-D Secure", "abandoned"])
async def test_a_booking_says_why_its_last_payment_came_to_nothing(platform: PlatformClient, way: str) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    if way == "declined at once":
        assert (await buyer.pay(booking, DECLINED_CARD)).status_code == 402
    elif way == "abandoned":
        assert (await buyer.pay(booking, CARD_WITH_3DS)).status_code == 202
        assert (await buyer.abandon(booking)).status_code == 200
    else:
        url = (await buyer.pay(booking, REFUSED_AFTER_3DS)).json()["next_action"]["url"]
        await platform.provider.act(url, "approve")
        await eventually(lambda: _held_again(buyer, booking), within=30)
    told = await read_alike(buyer, booking)
    assert (told["status"], told["next_action"]["type"]) == ("held", "pay")
    failure = told["payment_failure"]
    assert failure["type"] == ("wrong-state" if way == "abandoned" else "payment-declined")
    assert (failure["code"] is None) == (way == "abandoned")
    assert failure["detail"]
    await buyer.pay(booking)
    assert (await buyer.booking(booking))["payment_failure"] is None


async def _held_again(buyer: Buyer, booking: str) -> bool:
    return await buyer.status(booking) == "held"


async def test_a_refunded_seat_is_void_everywhere_and_held_nowhere(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "B-1-1", quantities={"Standing": 2})
    by_place = {ticket["seat"] or ticket["section"]: ticket["id"] for ticket in booking["tickets"]}
    refund = (await buyer.refund(booking["id"], by_place["B-1-1"], by_place["Standing"])).json()
    await eventually(lambda: _partially_refunded(buyer, booking["id"]), within=30)
    told = await read_alike(buyer, booking["id"])
    assert (told["seats"], told["quantities"]) == (["A-1-1"], {"Standing": 1})
    assert {(each["seat"], each["price"], each["cause"], each["refund_id"]) for each in told["void_tickets"]} == {
        ("B-1-1", 4000, "refund", refund["id"]), (None, 3000, "refund", refund["id"]),
    }  # fmt: skip


async def _partially_refunded(buyer: Buyer, booking: str) -> bool:
    return await buyer.status(booking) == "partially_refunded"


async def test_an_exchange_that_waits_for_its_buyer_is_named_by_the_booking(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "B-1-1")
    [ticket] = booking["tickets"]
    exchange = (await buyer.exchange(booking["id"], ticket["id"], "A-1-1", method=CARD_WITH_3DS)).json()
    told = await read_alike(buyer, booking["id"])
    assert told["under_way"] == {"kind": "exchange", "id": exchange["id"]}
    assert told["next_action"]["url"] == exchange["next_action"]["url"]
    await platform.provider.act(exchange["next_action"]["url"], "approve")
    await eventually(lambda: _has(buyer, booking["id"], "A-1-1"), within=40)
    told = await read_alike(buyer, booking["id"])
    assert [(each["seat"], each["cause"]) for each in told["void_tickets"]] == [("B-1-1", "exchange")]


async def _has(buyer: Buyer, booking: str, seat: str) -> bool:
    return bool((await buyer.booking(booking))["seats"] == [seat])


async def test_my_bookings_are_filtered_by_status_and_by_the_day_at_the_venue(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    soon, later = await platform.event(starts_in=timedelta(days=5)), await platform.event(starts_in=timedelta(days=90))
    bought = (await buyer.bought(soon, "A-1-1"))["id"]
    held = await buyer.held(later, "A-1-1")
    cancelled = await buyer.held(later, "A-1-2")
    await buyer.cancel(cancelled)

    async def ids(query: str) -> list[str]:
        answer = await buyer.get(f"/v1/me/bookings?{query}")
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["bookings"]]

    assert await ids("") == [cancelled, held, bought]
    assert await ids("status=held") == [held]
    assert await ids("status=confirmed&status=cancelled") == [cancelled, bought]
    assert await ids("status=refunded") == []
    day = datetime.fromisoformat((await buyer.booking(bought))["event"]["starts_at_local"]).date()
    assert await ids(f"from={day}&to={day}") == [bought]
    assert await ids(f"to={day - timedelta(days=1)}") == []
    assert await ids(f"from={day + timedelta(days=1)}") == [cancelled, held]
    assert await ids(f"from={day + timedelta(days=1)}&status=held") == [held]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=lost", "query.status.0"),
        ("from=2030-02-30", "query.from"),
        ("to=tomorrow", "query.to"),
        ("from=2030-05-02&to=2030-05-01", "query.from"),
        ("cursor=1", "query.cursor"),
        ("cursor=0190b6f0-0000-7000-8000-000000000000", "query.cursor"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused_by_name(
    platform: PlatformClient, query: str, field: str
) -> None:
    answer = await platform.new_buyer().get(f"/v1/me/bookings?{query}")
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


async def test_the_booking_of_another_buyer_is_no_cursor(platform: PlatformClient) -> None:
    event, buyer, other = await platform.event(), platform.new_buyer(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    assert (await buyer.get(f"/v1/me/bookings?cursor={booking}")).json()["bookings"] == []
    answer = await other.get(f"/v1/me/bookings?cursor={booking}")
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, ["query.cursor"])


async def test_a_day_is_that_of_the_venue_and_not_of_utc(platform: PlatformClient) -> None:
    """The events of these tests are in Utrecht: 23:30 UTC is the next day there."""
    start = datetime.now(UTC).replace(hour=23, minute=30, second=0, microsecond=0) + timedelta(days=9)
    event, buyer = await platform.event(starts_in=start - datetime.now(UTC)), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    there = (start + timedelta(days=1)).date()
    for day, found in {there: [booking], start.date(): []}.items():
        page = (await buyer.get(f"/v1/me/bookings?from={day}&to={day}")).json()["bookings"]
        assert [each["id"] for each in page] == found
