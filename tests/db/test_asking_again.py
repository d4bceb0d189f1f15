"""At a provider without idempotency keys a refund is asked for again only when no earlier request can still run."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.payment import refund_requests
from db.payment.refunds import Try
from tests.db.test_ledger import AUTHORIZED, CAPTURED, moved
from tests.db.test_provider_refunds import payment, tries

__all__ = ["payment"]

QUIET, NOW = timedelta(minutes=5), timedelta()


@pytest.fixture
async def given(payment: AsyncEngine) -> Try:
    [opened] = await tries(payment, await moved(payment, AUTHORIZED, CAPTURED), uuid4(), 1000)
    assert opened.is_new
    return opened


async def begin(engine: AsyncEngine, given: Try) -> timedelta:
    async with engine.begin() as connection:
        return await refund_requests.begin_asking(connection, given, QUIET)


async def passes(engine: AsyncEngine, given: Try, time: timedelta) -> None:
    async with engine.begin() as connection:
        earlier = text("UPDATE refunds SET asked_at = asked_at - :time WHERE refund_id = :id")
        await connection.execute(earlier, {"time": time, "id": given.refund_id})


async def test_a_new_try_asks_at_once_and_a_repetition_waits_for_the_rest_of_the_quiet_time(
    payment: AsyncEngine, given: Try
) -> None:
    again = given._replace(is_new=False)
    assert await begin(payment, given) == NOW
    assert NOW < await begin(payment, again) <= QUIET
    await passes(payment, given, timedelta(minutes=4))
    assert NOW < await begin(payment, again) <= timedelta(minutes=1)
    await passes(payment, given, timedelta(minutes=1))
    assert await begin(payment, again) == NOW
    assert timedelta(minutes=4) < await begin(payment, again) <= QUIET


async def test_of_several_workers_at_a_time_one_asks(payment: AsyncEngine, given: Try) -> None:
    assert await begin(payment, given) == NOW
    await passes(payment, given, QUIET)
    waits = await asyncio.gather(*(begin(payment, given._replace(is_new=False)) for _ in range(5)))
    assert waits.count(NOW) == 1


async def test_a_try_that_the_earlier_version_may_have_asked_for_waits_once(payment: AsyncEngine, given: Try) -> None:
    left = given._replace(is_new=False)
    assert await begin(payment, left) == QUIET
    assert NOW < await begin(payment, left) < QUIET
    await passes(payment, given, QUIET)
    assert await begin(payment, left) == NOW
