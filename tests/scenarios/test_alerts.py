"""Each alert fires while its cause lasts, and clears afterwards, judged by a real Prometheus with the real rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import psycopg
import pytest

from stack import Stack
from tests.platform_client import PlatformClient
from tests.prometheus import Prometheus, watched_by_prometheus
from tests.scenarios.test_refunds import needs_attention
from tests.waiting import eventually

# tests/ops/test_alerts.py has a case of promtool for each alert; this one takes minutes, as the alerts do.
pytestmark = [pytest.mark.disruptive, pytest.mark.thorough]

CROWD = 40
"""Calls at a time: more than the pool of one database has connections."""


@asynccontextmanager
async def repeated(call: Callable[[], Awaitable[object]], at_a_time: int = 1) -> AsyncIterator[None]:
    """Call again and again, whatever the answer."""

    async def again_and_again() -> None:
        while True:
            with suppress(AssertionError, OSError):
                await call()
            await asyncio.sleep(0.2)

    calling = [asyncio.create_task(again_and_again()) for _ in range(at_a_time)]
    try:
        yield
    finally:
        for each in calling:
            each.cancel()
        await asyncio.gather(*calling, return_exceptions=True)


@asynccontextmanager
async def stopped(stack: Stack, name: str) -> AsyncIterator[None]:
    await asyncio.to_thread(stack.stop, name)
    try:
        yield
    finally:
        await asyncio.to_thread(stack.start, name)


@asynccontextmanager
async def provider_down(platform: PlatformClient, event: str) -> AsyncIterator[None]:
    """All calls about the payments of one buyer after the other stay without an answer."""
    seats, bookings = (f"A-{row}-{seat}" for row in range(1, 11) for seat in range(1, 11)), list[str]()

    async def pay() -> None:
        buyer = platform.new_buyer().at(platform.hasty)
        bookings.append(await buyer.held(event, next(seats)))
        await platform.provider.will("reset_before", "*", bookings[-1], times=1000)
        await buyer.pay(bookings[-1])

    async with repeated(pay, at_a_time=3):
        yield
    for booking in bookings:
        await platform.provider.clear_faults(booking)


@asynccontextmanager
async def pool_exhausted(platform: PlatformClient, dsn: str, event: str) -> AsyncIterator[None]:
    """A session holds a lock that every reader of events needs."""
    async with await psycopg.AsyncConnection.connect(dsn, dbname="seatwright_catalogue") as blocking:
        await blocking.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        async with repeated(lambda: platform.hasty.get(f"/v1/events/{event}"), at_a_time=CROWD):
            yield
        await blocking.rollback()


@asynccontextmanager
async def parked_saga(platform: PlatformClient, event: str) -> AsyncIterator[None]:
    """The provider refuses a refund, until an operator retries it."""
    buyer = platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await platform.provider.will("decline", "refund", booking, times=1000)
    assert (await buyer.refund(booking)).status_code == 202
    await eventually(lambda: needs_attention(buyer, booking), within=60)
    yield
    await platform.provider.clear_faults(booking)
    await platform.refund_saga((await buyer.refunds(booking))[0]["id"]).execute_update("operate", "retry")
    await buyer.ends_as(booking, "refunded")


async def test_each_alert_fires_while_its_cause_lasts_and_then_clears(
    platform: PlatformClient, stack: Stack, stack_env: dict[str, str]
) -> None:
    event, dsn = await platform.event(), stack_env["SEATWRIGHT_POSTGRES_ADMIN_DSN"]
    other = await platform.event(rows=10)
    expected = {"ProviderUnreachable", "ProcessDown", "SagaNeedsAttention", "PoolExhausted", "OutboxStuck"}
    seen: set[str] = set()

    async def all_fire(prometheus: Prometheus) -> bool:
        seen.update(await prometheus.firing())
        assert expected <= seen, expected - seen
        return True

    async def none_fires(prometheus: Prometheus) -> bool:
        left = expected & await prometheus.firing()
        assert not left, left
        return True

    async with watched_by_prometheus(stack) as prometheus:
        await eventually(lambda: prometheus.ask("ALERTS or slo:objective:ratio"))  # the rules have been judged
        await eventually(lambda: none_fires(prometheus), within=240, every=2)
        async with AsyncExitStack() as causes:
            await causes.enter_async_context(parked_saga(platform, event))
            await causes.enter_async_context(stopped(stack, "consume"))  # it is ready again only with Kafka
            await causes.enter_async_context(stopped(stack, "kafka"))
            await causes.enter_async_context(provider_down(platform, other))
            await causes.enter_async_context(pool_exhausted(platform, dsn, event))
            await eventually(lambda: all_fire(prometheus), within=240, every=2)
        await eventually(lambda: none_fires(prometheus), within=240, every=2)
