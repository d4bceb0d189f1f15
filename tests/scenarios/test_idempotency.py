"""The same key means the same booking and payment, at every API process and at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import httpx2
import pytest
from redis.asyncio import Redis

from config.settings import Settings
from stack import Stack
from tests.http_client import patient_client
from tests.platform_client import PlatformClient
from tests.scale import FULL

HOLDS = 50 if FULL else 20


@pytest.fixture(scope="module")
def other_url(stack: Stack) -> Iterator[str]:
    """A second API process; the tests that use it are neighbours, so that one worker starts it once."""
    name = f"api-{uuid4().hex[:8]}"
    spawned = stack.spawn(name, "api")
    yield f"http://127.0.0.1:{spawned.ports['api']}"
    stack.stop(name)


@pytest.fixture
async def other_api(other_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with patient_client(other_url) as http:
        yield http


async def test_many_calls_with_one_key_at_two_apis_make_one_booking_with_one_answer(
    platform: PlatformClient, other_api: httpx2.AsyncClient
) -> None:
    event, here = await platform.event(), platform.new_buyer()
    there, key = here.at(other_api), str(uuid4())

    answers = await asyncio.gather(
        *((here if index % 2 else there).hold(event, "A-1-1", "A-1-2", key=key) for index in range(HOLDS))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    mine = (await here.get("/v1/me/bookings")).json()["bookings"]
    assert [booking["id"] for booking in mine] == [answers[0].json()["id"]]


async def test_twenty_clicks_on_pay_with_one_key_charge_once(
    platform: PlatformClient, other_api: httpx2.AsyncClient
) -> None:
    event, here = await platform.event(), platform.new_buyer()
    there, key, booking = here.at(other_api), str(uuid4()), await here.held(event, "A-1-1")

    answers = await asyncio.gather(*((here if n % 2 else there).pay(booking, key=key) for n in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(await platform.provider.calls(booking, "capture")) == 1
    assert await platform.provider.kept(booking) == 5000
    assert (await here.pay(booking, key=key)).content == answers[0].content


async def test_the_same_key_with_another_body_is_refused_also_after_the_booking_has_ended(
    platform: PlatformClient,
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    first = await buyer.hold(event, "A-1-1", key=key)

    async def assert_refused() -> None:
        other = await buyer.hold(event, "A-1-2", key=key)
        assert other.status_code == 422
        assert other.json()["type"].endswith("/idempotency-key-reused")

    await assert_refused()
    await buyer.pay(first.json()["id"])
    await assert_refused()
    assert (await buyer.hold(event, "A-1-1", key=key)).content == first.content
    assert await platform.seat(event, "A-1-2") == "available"


async def test_another_body_is_refused_also_while_the_first_call_is_under_way(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    answers = await asyncio.gather(*(buyer.hold(event, f"A-1-{n}", key=key) for n in range(1, 6)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422]


async def test_another_order_of_seats_is_the_same_request(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    first = await buyer.hold(event, "A-1-1", "A-1-2", key=key)
    second = await buyer.hold(event, "A-1-2", "A-1-1", key=key)
    assert (second.status_code, second.content) == (201, first.content)


async def test_a_refused_hold_is_not_remembered(platform: PlatformClient) -> None:
    event, first, second = await platform.event(), platform.new_buyer(), platform.new_buyer()
    key, blocking = str(uuid4()), await first.held(event, "A-1-1")
    # Let the workflow refuse, not only the early check in Redis.
    assert {a.status_code for a in await asyncio.gather(*(second.hold(event, "A-1-1", key=key) for _ in range(3)))} == {
        409
    }
    await first.cancel(blocking)
    assert (await second.hold(event, "A-1-1", key=key)).status_code == 201


async def test_the_same_key_of_two_users_makes_two_bookings(platform: PlatformClient) -> None:
    event, key = await platform.event(), str(uuid4())
    ids = {(await platform.new_buyer().hold(event, f"A-1-{n}", key=key)).json()["id"] for n in (1, 2)}
    assert len(ids) == 2


async def test_without_a_key_the_server_makes_one_and_returns_it(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    body = {"event_id": event, "seats": ["A-1-1"]}
    first = await buyer.post("/v1/bookings", body)
    again = await buyer.post("/v1/bookings", body, key=first.headers["Idempotency-Key"])
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


async def test_a_payment_key_with_another_body_is_refused(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    assert (await buyer.pay(booking, key=key)).status_code == 200
    other = await buyer.pay(booking, "pm_card_mastercard", key=key)
    assert other.status_code == 422
    assert other.json()["type"].endswith("/idempotency-key-reused")


async def test_a_repeated_hold_is_known_also_after_redis_has_lost_the_event(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer, rival, key = await platform.event(), platform.new_buyer(), platform.new_buyer(), str(uuid4())
    first = await buyer.hold(event, "A-1-1", key=key)
    await buyer.cancel(first.json()["id"])
    await rival.held(event, "A-1-1")

    async with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        await redis.delete(*[name async for name in redis.scan_iter(f"seatwright:{{{event}}}:*")])
    await rival.held(event, "A-1-2")  # loads it again

    again = await buyer.hold(event, "A-1-1", key=key)
    assert (again.status_code, again.content) == (201, first.content)
