"""During outages of servers and processes callers get a correct response in time, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from domain.identity import Role
from stack import Stack
from tests.api.people import problem
from tests.http_client import http_client, patient_client
from tests.pace import watch
from tests.platform_client import PlatformClient
from tests.scale import FULL, sample
from tests.scenarios.test_rush import pay
from tests.waiting import RECOVERY, eventually

pytestmark = pytest.mark.disruptive

EVERYTHING = (
    "postgres",
    "redis",
    "temporal",
    "kafka",
    "elasticsearch",
    "mail",
    "sandbox",
    "api",
    "work",
    "relay",
    "consume",
)


@pytest.fixture(autouse=True)
def all_is_up_again(stack: Stack) -> Iterator[None]:
    """Repair everything after each test."""
    yield
    stack.up(*EVERYTHING)


@asynccontextmanager
async def without(stack: Stack, *names: str) -> AsyncIterator[None]:
    """Run the body while these processes are stopped."""
    for name in names:
        await asyncio.to_thread(stack.kill, name)
    try:
        yield
    finally:
        for name in reversed(names):  # servers first: our processes are ready only when theirs are
            await asyncio.to_thread(stack.start, name)


@pytest.mark.parametrize("server", ["redis", "postgres", "temporal"])
async def test_a_hold_without_a_server_fails_within_two_seconds_and_works_later(
    platform: PlatformClient, stack: Stack, server: str
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    async with without(stack, server):
        with watch() as taken:
            answer = await buyer.at(platform.hasty).hold(event, "A-1-1", key=key)
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
        assert taken.seconds < taken.allows(2)

    with watch() as recovery:
        booking = (await buyer.hold(event, "A-1-1", key=key)).json()["id"]
    assert recovery.seconds < recovery.allows(RECOVERY)
    assert await pay(buyer, booking) == 200


@pytest.fixture(scope="module")
def patient(stack: Stack) -> Iterator[str]:
    """The address of an API with the production retries, since a server may restart slowly."""
    env = {"SEATWRIGHT_COMPENSATION_ATTEMPTS": "12", "SEATWRIGHT_PAYMENT_WINDOW": "600"}
    spawned = stack.spawn("api-patient", "api", env=env)
    yield f"http://127.0.0.1:{spawned.ports['api']}"
    stack.stop("api-patient")


@pytest.mark.parametrize("server", sample(["redis", "postgres", "temporal"], 1, of="outages during a payment"))
async def test_a_payment_during_an_outage_ends_in_one_charge(
    platform: PlatformClient, stack: Stack, patient: str, server: str
) -> None:
    event, key = await platform.event(), str(uuid4())
    async with patient_client(patient) as http:
        buyer = platform.new_buyer().at(http)
        booking = await buyer.held(event, "A-1-1")
        await platform.provider.will("slow", "confirm", booking, delay_seconds=1)
        payment = asyncio.create_task(buyer.pay(booking, key=key))
        await eventually(lambda: platform.provider.calls(booking, "create"))
        async with without(stack, server):
            pass
        assert (await payment).status_code == 200
        assert await buyer.status(booking) == "confirmed"
    assert await platform.provider.kept(booking) == 5000


async def test_bookings_do_not_notice_that_kafka_search_mail_and_consumers_are_down(
    platform: PlatformClient, stack: Stack
) -> None:
    async with without(stack, "consume", "relay", "kafka", "elasticsearch", "mail"):
        event, buyer = await platform.event(), platform.new_buyer().at(platform.hasty)
        booking = await buyer.bought(event, "A-1-1")
        assert booking["status"] == "confirmed"

    async def found() -> bool:
        answer = await platform.http.get("/v1/search", params={"q": (await name_of(platform, event))})
        return answer.status_code == 200 and event in {hit["event_id"] for hit in answer.json()["hits"]}

    await eventually(found, within=60)


async def name_of(platform: PlatformClient, event: str) -> str:
    return str((await platform.http.get(f"/v1/events/{event}")).json()["name"])


async def test_without_workers_a_payment_is_unknown_and_never_charged_after_its_deadline(
    platform: PlatformClient, stack: Stack
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    other, operator = await platform.event(), platform.new_buyer(Role.OPERATOR).at(platform.hasty)
    booking = await buyer.held(event, "A-1-1")
    long = "60" if FULL else "10"  # seconds without any worker
    hasty = await asyncio.to_thread(stack.spawn, "api-hasty", "api", env={"SEATWRIGHT_PAYMENT_WAIT": long})
    try:
        async with http_client(f"http://127.0.0.1:{hasty.ports['api']}") as http:
            async with without(stack, "work"):
                unknown, cancelled = await asyncio.gather(
                    buyer.at(http).pay(booking, key=key),
                    operator.post(f"/v1/events/{other}/cancel", {"reason": "The hall is closed."}),
                )
                assert unknown.status_code == cancelled.status_code == 503
                assert problem(unknown) == problem(cancelled) == "outcome-unknown"
                assert unknown.json()["booking_id"] == booking
            # Workers are back, and have refused the order that came too late: its deadline has passed.
            await platform.saga(booking).query("__temporal_workflow_metadata")
            assert await buyer.status(booking) == "held"
            assert await platform.provider.kept(booking) == 0
            assert await platform.provider.intents(booking) == []
            # The same key, ordered anew by a caller who waits, pays.
            assert (await buyer.at(http).pay(booking, key=key)).json()["status"] == "confirmed"
    finally:
        await asyncio.to_thread(stack.stop, "api-hasty")


@pytest.mark.parametrize("operation", sample(["create", "confirm", "capture"], 1, of="dead workers"))
async def test_a_worker_killed_in_the_middle_of_a_payment_leaves_it_to_another(
    platform: PlatformClient, stack: Stack, operation: str
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("slow", operation, booking, delay_seconds=1)
    payment = asyncio.create_task(buyer.pay(booking, key=key))
    await eventually(lambda: platform.provider.in_flight(booking, operation))
    async with without(stack, "work"):
        pass
    assert (await payment).status_code == 200
    assert await platform.provider.kept(booking) == 5000


@pytest.mark.thorough
async def test_an_api_killed_in_the_middle_of_a_hold_has_not_lost_it(platform: PlatformClient, stack: Stack) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    hold = asyncio.create_task(buyer.hold(event, "A-1-1", key=key))
    await eventually(lambda: platform.seat_is_not_free(event, "A-1-1"), every=0.005)
    async with without(stack, "api"):
        pass
    await asyncio.gather(hold, return_exceptions=True)
    again = await buyer.hold(event, "A-1-1", key=key)
    assert again.status_code == 201
    assert (await buyer.pay(again.json()["id"])).status_code == 200


async def test_seats_freed_during_an_outage_of_redis_are_on_sale_soon_after_it(
    platform: PlatformClient, stack: Stack
) -> None:
    event, buyer, other = await platform.event(), platform.new_buyer(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    async with without(stack, "redis"):
        assert (await buyer.at(platform.hasty).cancel(booking)).json()["status"] == "cancelled"

    async def free_again() -> bool:
        return (await other.hold(event, "A-1-1")).status_code == 201

    await eventually(free_again, within=30)


async def test_an_api_killed_in_the_middle_of_a_payment_has_not_lost_it(platform: PlatformClient, stack: Stack) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("slow", "confirm", booking, delay_seconds=1)
    payment = asyncio.create_task(buyer.pay(booking, key=key))
    await eventually(lambda: platform.provider.in_flight(booking, "confirm"))
    async with without(stack, "api"):
        pass
    await asyncio.gather(payment, return_exceptions=True)
    again = await buyer.pay(booking, key=key)
    assert (again.status_code, again.json()["status"]) == (200, "confirmed")
    assert await platform.provider.kept(booking) == 5000


async def test_held_and_sold_seats_stay_taken_when_redis_restarts_empty(platform: PlatformClient, stack: Stack) -> None:
    event, buyer = await platform.event(standing=50), platform.new_buyer()
    held = await buyer.held(event, "A-1-1", quantities={"Standing": 49})
    await buyer.bought(event, "A-1-2")
    async with without(stack, "redis"):
        pass
    async with Redis.from_url(platform.settings.redis_url.get_secret_value()) as redis:
        await redis.flushall()

    for taken in ("A-1-1", "A-1-2"):
        assert (await platform.new_buyer().hold(event, taken)).status_code == 409
    assert (await platform.new_buyer().hold(event, quantities={"Standing": 2})).status_code == 409
    assert (await buyer.pay(held)).status_code == 200


@pytest.mark.thorough
async def test_holds_and_bookings_survive_the_restart_of_every_server(platform: PlatformClient, stack: Stack) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    sold, held = (await buyer.bought(event, "A-1-1"))["id"], await buyer.held(event, "A-1-2")
    for server in ("redis", "postgres", "temporal", "kafka", "sandbox"):
        await asyncio.to_thread(stack.restart, server)

    assert await pay(buyer, held) == 200
    assert (await buyer.booking(sold))["status"] == "confirmed"
    assert (await platform.new_buyer().hold(event, "A-1-2")).status_code == 409
