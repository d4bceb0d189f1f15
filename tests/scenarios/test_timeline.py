"""The timeline of a booking, for the buyer and for support, during the booking and afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from domain.identity import Role
from stack import Spawned, Stack
from tests.api.people import problem
from tests.buyer import DECLINED_CARD
from tests.http_client import http_client
from tests.metrics import value
from tests.platform_client import PlatformClient
from tests.scenarios.any_seat import any_seat
from tests.scenarios.test_outcomes import register
from tests.waiting import eventually, in_time


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer  "], ids=["as usual", "with two spaces"])
async def test_a_buyer_follows_a_booking_to_its_end(platform: PlatformClient, scheme: str) -> None:
    buyer = platform.new_buyer()
    headers = buyer.headers | {"Authorization": buyer.headers["Authorization"].replace("Bearer ", scheme)}
    booking = await buyer.held(*await any_seat(platform))
    statuses: list[str] = []

    async def follow() -> None:
        async with platform.http.stream("GET", f"/v1/bookings/{booking}/stream", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    statuses.append(json.loads(line.removeprefix("data:"))["status"])

    following = asyncio.create_task(follow())
    await buyer.pay(booking)
    await in_time(following)
    assert statuses[-1] == "confirmed"


async def test_a_stream_ends_with_the_session_of_its_reader(platform: PlatformClient) -> None:
    event, buyer = await platform.event(hold_seconds=600), await register(platform)
    booking = await buyer.held(event, "A-1-1")
    async with platform.http.stream("GET", f"/v1/bookings/{booking}/stream", headers=buyer.headers) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines)
        assert (await buyer.delete("/v1/me/sessions")).status_code == 204
        async with asyncio.timeout(300):  # the hold would end the stream later
            left = [line async for line in lines]
    assert '"status":"expired"' not in "".join(left), "the booking goes on"
    assert await platform.new_buyer(Role.SUPPORT).status(booking) == "held"


async def test_a_user_listens_to_a_few_bookings_at_a_time(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    path = f"/v1/bookings/{await buyer.held(*await any_seat(platform))}/stream"

    async def listens() -> int:
        async with platform.http.stream("GET", path, headers=buyer.headers) as answer:
            return answer.status_code

    async with AsyncExitStack() as listening:
        for _ in range(10):
            answer = await listening.enter_async_context(platform.http.stream("GET", path, headers=buyer.headers))
            assert answer.status_code == 200
        assert await listens() == 429
        other = await platform.new_buyer(Role.SUPPORT).get(path.removesuffix("/stream"))
        assert other.status_code == 200
    await eventually(lambda: _is(listens(), 200))


@pytest.fixture
def few_connections(stack: Stack) -> Iterator[Spawned]:
    """An API process with 12 connections, of which streams may have three."""
    name = f"api-few-{uuid4().hex[:6]}"
    yield stack.spawn(name, "api", env={"SEATWRIGHT_CONNECTIONS": "12"})
    stack.stop(name)


async def test_streams_leave_connections_to_payments_and_probes(
    platform: PlatformClient, few_connections: Spawned
) -> None:
    url, buyer = f"http://127.0.0.1:{few_connections.ports['api']}", platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    readers = [platform.new_buyer(Role.SUPPORT) for _ in range(12)]

    async with AsyncExitStack() as listening:
        answers = []
        for reader in readers:  # each at a connection of its own, which stays open
            http = await listening.enter_async_context(http_client(url))
            asked = http.stream("GET", f"/v1/bookings/{booking}/stream", headers=reader.headers)
            answers.append(await listening.enter_async_context(asked))
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 9
        refused = answers[-1]
        await refused.aread()
        assert problem(refused) == "rate-limited"
        assert refused.headers["retry-after"] == "60"
        assert await value(few_connections, "api", "seatwright_streams") == 3
        another = await listening.enter_async_context(http_client(url))
        assert (await another.get("/livez")).status_code == 200
        assert (await buyer.at(another).pay(booking)).status_code == 200


async def _is(got: Awaitable[int], wanted: int) -> bool:
    return await got == wanted


async def test_support_reads_every_step_and_a_buyer_may_not(platform: PlatformClient) -> None:
    buyer, support = platform.new_buyer(), platform.new_buyer(Role.SUPPORT)
    booking = await buyer.held(*await any_seat(platform))
    await platform.provider.will("500_before", "capture", booking)
    await buyer.pay(booking, DECLINED_CARD)
    await buyer.pay(booking)

    timeline = (await support.get(f"/v1/bookings/{booking}/timeline")).json()

    steps = [entry["what"] for entry in timeline["steps"] if entry["kind"] == "step"]
    assert steps == [
        "hold", "start_payment", "authorize", "keep_hold", "start_payment", "authorize", "commit", "capture", "issue",
    ]  # fmt: skip
    [retry] = [entry for entry in timeline["steps"] if entry["kind"] == "retry" or (entry["attempts"] or 1) > 1]
    assert (retry["what"], retry["attempts"]) == ("capture", 2)
    problems = [entry for entry in timeline["steps"] if entry["problem"] and entry["what"] != "capture"]
    assert [(entry["kind"], entry["what"], entry["code"]) for entry in problems] == [
        ("step", "authorize", "generic_decline"), ("answer", "pay", "generic_decline"),
    ]  # fmt: skip
    assert problems[0]["provider"] == "stripe"
    assert problems[0]["problem"].startswith("the provider declined the payment: ")
    times = [entry["at"] for entry in timeline["steps"] if entry["kind"] == "step"]
    assert len(set(times)) == len(times)
    assert [told["type"] for told in timeline["domain_events"]] == [
        "booking.held", "booking.paying", "booking.held", "booking.paying", "booking.confirmed",
    ]  # fmt: skip
    assert (await buyer.get(f"/v1/bookings/{booking}/timeline")).status_code == 403


async def test_a_refund_that_the_provider_refuses_says_why_at_each_try(platform: PlatformClient) -> None:
    buyer, support = platform.new_buyer(), platform.new_buyer(Role.SUPPORT)
    booking = (await buyer.bought(*await any_seat(platform)))["id"]
    await platform.provider.will("500_before", "refund", booking, times=3)
    assert (await buyer.refund(booking)).status_code == 202

    async def is_shown() -> bool:
        told = (await support.get(f"/v1/bookings/{booking}/timeline")).json()
        [refund] = told["refunds"]
        retries = [entry for entry in refund["steps"] if entry["kind"] == "retry"]
        assert all(entry["problem"] and "Encoded failure" not in entry["problem"] for entry in retries)
        assert all("error of type" not in entry["problem"] for entry in retries), (
            "the words are kept, not the type alone"
        )
        return bool(retries)

    await eventually(is_shown)


async def test_a_stream_of_another_persons_booking_is_refused(platform: PlatformClient) -> None:
    booking = await platform.new_buyer().held(*await any_seat(platform))
    assert (await platform.new_buyer().get(f"/v1/bookings/{booking}/stream")).status_code == 404
