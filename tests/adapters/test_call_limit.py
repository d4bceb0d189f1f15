"""A provider's limit is held by all workers together; a call over it waits, and does not fail."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.payment.conversations import conversation
from activities.payment.payments import AuthorizationResult, Authorize, PaymentActivities
from adapters.payment.call_limit import CallLimit
from adapters.payment.stripe.gateway import StripeGateway
from db.engine import open_engine
from db.payment import attempts
from domain.money import Money
from domain.payment_gateway import IS_URGENT
from sandbox.testing import API_KEY, ROOT, SandboxProcess, free_port
from tests.pace import stretched
from tests.waiting import eventually
from tests.workers.conftest import ServiceDatabase, databases, service_database, templates

__all__ = ["databases", "service_database", "templates"]

PRICE = Money(amount=5000, currency="EUR")
LATE = 20  # calls that a busy machine may have made or heard late; without a shared limit it would be all 60 at once


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def payment(service_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(service_database("payment"), serves_callers=False)
    yield engine
    await engine.dispose()


async def an_intent(sandbox: SandboxProcess) -> str:
    gateway = StripeGateway(API_KEY, base_url=sandbox.url)
    intent = await gateway.create(uuid4(), PRICE, key=str(uuid4()), return_url="https://shop.example.test/")
    await gateway.close()
    return intent.id


async def processes_call(
    sandbox: SandboxProcess, redis_url: str, intent: str, *, rate: float, processes: int, calls: int
) -> list[float]:
    """When the provider heard the calls of so many processes at once (seconds)."""
    arguments = ["-m", "tests.adapters.calling", sandbox.url, redis_url, str(rate), intent, str(calls)]
    callers = [await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT) for _ in range(processes)]
    assert [await caller.wait() for caller in callers] == [0] * processes
    heard = sandbox.call("GET", f"/_sandbox/requests?intent={intent}&operation=retrieve")["requests"]
    assert all(call["status"] == 200 for call in heard)
    return sorted(call["at"] for call in heard)


def busiest_second(times: list[float]) -> int:
    return max(sum(start <= time < start + 1 for time in times) for start in times)


async def test_several_workers_together_hold_a_providers_limit(
    sandbox: SandboxProcess, redis: Redis, redis_url: str
) -> None:
    intent = await an_intent(sandbox)
    times = await processes_call(sandbox, redis_url, intent, rate=25, processes=3, calls=20)
    assert len(times) == 60
    assert busiest_second(times) <= 25 + LATE


async def test_without_redis_payments_go_on_and_each_worker_holds_the_limit_by_itself(sandbox: SandboxProcess) -> None:
    intent = await an_intent(sandbox)
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    times = await processes_call(sandbox, nowhere, intent, rate=25, processes=2, calls=45)
    assert len(times) == 90
    assert busiest_second(times) <= 2 * 25 + LATE


async def test_who_waits_in_one_process_asks_redis_together(redis: Redis) -> None:
    limit = CallLimit(redis, "stripe", 200)
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] if await _called(redis) else 0
    await asyncio.gather(*(limit.turn() for _ in range(100)))
    after = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before <= 10


async def _called(redis: Redis) -> bool:
    return "cmdstat_evalsha" in await redis.info("commandstats")


async def test_turns_come_in_order_and_an_interval_apart(redis: Redis) -> None:
    limit, loop, times = CallLimit(redis, "stripe", 20), asyncio.get_running_loop(), list[tuple[int, float]]()

    async def one(place: int) -> None:
        await limit.turn()
        times.append((place, loop.time()))

    before = loop.time()  # a busy machine may notice any turn late, also the first
    await asyncio.gather(*(one(place) for place in range(10)))
    assert times == sorted(times)
    assert all(time - before >= place / 20 - 0.02 for place, time in times)


async def test_a_turn_that_was_kept_serves_one_call(redis: Redis) -> None:
    limit, loop = CallLimit(redis, "stripe", 1), asyncio.get_running_loop()
    await limit.keep_turn()
    await limit.keep_turn()
    before = loop.time()
    await limit.turn()
    assert loop.time() - before < 0.5
    await limit.turn()
    assert loop.time() - before >= 0.5


@pytest.mark.parametrize("processes", [1, 2])
async def test_payments_that_were_begun_do_not_wait_for_those_that_begin(redis: Redis, processes: int) -> None:
    """Two objects hold a limit as two processes do."""
    limits = [CallLimit(redis, "stripe", 10) for _ in range(processes)]
    new = [asyncio.create_task(limits[0].keep_turn(begins=True)) for _ in range(60)]
    await eventually(lambda: sum(each.done() for each in new) > 3)
    IS_URGENT.set(True)
    await asyncio.gather(*(limits[-1].turn() for _ in range(20)))
    assert sum(each.done() for each in new) < 20
    for each in new:
        each.cancel()


@pytest.mark.parametrize("processes", [1, 2])
async def test_refunds_wait_for_payments_that_begin_and_get_a_turn_all_the_same(redis: Redis, processes: int) -> None:
    limits = [CallLimit(redis, "stripe", 10) for _ in range(processes)]
    refunded = 0

    async def refunds() -> None:
        nonlocal refunded
        while True:
            await limits[-1].turn()
            refunded += 1

    under_way = [asyncio.create_task(refunds()) for _ in range(20)]
    await eventually(lambda: refunded > 5)
    before = refunded
    new = [asyncio.create_task(limits[0].keep_turn(begins=True)) for _ in range(40)]
    await eventually(lambda: all(each.done() for each in new), within=20)
    assert 1 <= refunded - before <= 15
    for each in under_way:
        each.cancel()


async def test_refunds_that_have_begun_end_before_others_begin(redis: Redis) -> None:
    limit = CallLimit(redis, "stripe", 10)
    made = list[int]()

    async def refund() -> None:
        async with conversation():
            for number in range(3):
                await limit.turn()
                made.append(number)

    refunds = [asyncio.create_task(ActivityEnvironment().run(refund)) for _ in range(20)]
    await eventually(lambda: 2 in made)
    assert made.count(0) <= 10
    for each in refunds:
        each.cancel()


async def test_a_caller_that_gives_up_leaves_its_turn_to_the_next(redis: Redis) -> None:
    limit, loop = CallLimit(redis, "stripe", 2), asyncio.get_running_loop()
    given_up = [asyncio.create_task(limit.turn()) for _ in range(60)]
    await eventually(given_up[0].done)
    for each in given_up:
        each.cancel()
    before = loop.time()
    await limit.turn()
    assert loop.time() - before < 15  # half a minute behind the others


def order(deadline: datetime) -> Authorize:
    return Authorize(
        booking_id=uuid4(),
        amount=PRICE,
        provider="stripe",
        payment_method="pm_card_visa",
        return_url="https://shop.example.test/",
        deadline=deadline,
    )


async def test_a_saturated_limit_fails_no_booking_and_costs_no_try(
    sandbox: SandboxProcess, redis: Redis, payment: AsyncEngine
) -> None:
    gateway = StripeGateway(API_KEY, base_url=sandbox.url, limit=CallLimit(redis, "stripe", 25))
    steps = PaymentActivities(payment, {"stripe": gateway})

    async def pay() -> None:
        paid = order(datetime.now(UTC) + timedelta(minutes=2))
        done = await ActivityEnvironment().run(steps.authorize, paid)  # raises where a second try would be needed
        assert done.result is AuthorizationResult.AUTHORIZED
        assert await ActivityEnvironment().run(steps.capture, paid.booking_id) is None

    await asyncio.gather(*(pay() for _ in range(20)))  # 60 calls: more than two seconds' worth
    await gateway.close()


async def test_who_waited_for_the_limit_until_the_deadline_is_not_charged_after_it(
    sandbox: SandboxProcess, redis: Redis, payment: AsyncEngine
) -> None:
    seconds = stretched(2)
    gateway = StripeGateway(API_KEY, base_url=sandbox.url, limit=CallLimit(redis, "stripe", 1 / (seconds + 1)))
    # The opening has a turn at once, the charge a second too late.
    paid = order(datetime.now(UTC) + timedelta(seconds=seconds))
    done = await ActivityEnvironment().run(PaymentActivities(payment, {"stripe": gateway}).authorize, paid)
    await gateway.close()
    assert done.result is AuthorizationResult.LAPSED
    [intent] = sandbox.intents(str(paid.booking_id))
    assert (intent["held"], intent["captured"]) == (0, 0)
    assert not sandbox.requests(str(paid.booking_id), "confirm")


async def test_a_payment_that_waits_too_long_for_its_first_call_costs_none(
    sandbox: SandboxProcess, redis: Redis, payment: AsyncEngine
) -> None:
    seconds = stretched(2)
    limit = CallLimit(redis, "stripe", 1 / (4 * seconds))
    gateway = StripeGateway(API_KEY, base_url=sandbox.url, limit=limit)
    await limit.turn()
    paid = order(datetime.now(UTC) + timedelta(seconds=seconds))
    before = await redis.get("seatwright:calls:stripe")
    done = await ActivityEnvironment().run(PaymentActivities(payment, {"stripe": gateway}).authorize, paid)
    await gateway.close()
    assert done.result is AuthorizationResult.LAPSED
    assert not sandbox.intents(str(paid.booking_id))
    assert await redis.get("seatwright:calls:stripe") == before, "a turn was taken"
    async with payment.connect() as connection:
        assert await attempts.live(connection, paid.booking_id) is None


async def test_overload_leaves_the_provider_to_the_payments_that_succeed(
    sandbox: SandboxProcess, redis: Redis, payment: AsyncEngine
) -> None:
    seconds = stretched(4)
    # The first calls of all payments alone would take a quarter more time than there is.
    gateway = StripeGateway(API_KEY, base_url=sandbox.url, limit=CallLimit(redis, "stripe", 24 / seconds))
    steps = PaymentActivities(payment, {"stripe": gateway})
    orders = [order(datetime.now(UTC) + timedelta(seconds=seconds)) for _ in range(30)]
    done = await asyncio.gather(*(ActivityEnvironment().run(steps.authorize, each) for each in orders))
    await gateway.close()
    results = Counter(each.result for each in done)
    assert set(results) == {AuthorizationResult.AUTHORIZED, AuthorizationResult.LAPSED}
    assert results[AuthorizationResult.AUTHORIZED] >= 4
    assert sum(bool(sandbox.intents(str(each.booking_id))) for each in orders) < 15


async def test_the_queue_of_a_limit_belongs_to_no_caller(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its calls of Redis would all be in the trace of the caller that came first."""
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    asked: list[str] = []
    evaluate: Any = Redis.evalsha

    async def noted(self: Redis, *words: object) -> object:
        asked.append(whose.get())
        return await evaluate(self, *words)

    monkeypatch.setattr(Redis, "evalsha", noted)
    whose.set("the first caller's")
    await CallLimit(redis, "stripe", 1000).turn()
    assert asked
    assert set(asked) == {"nobody's"}
