"""The bad network of tests is bad in the way that it says, and good again afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as NoAnswer

from stack import Stack
from tests.network import Line, Network
from tests.pace import watch


@pytest.fixture
def stack(lasting: Stack) -> Stack:
    """Its servers are started once; each test has lines of its own."""
    return lasting


@pytest.fixture
async def line(stack: Stack, network: Network) -> Line:
    await asyncio.to_thread(stack.up, "redis")
    return await network.line("redis")


@pytest.fixture
async def redis(network: Network, line: Line) -> AsyncIterator[Redis]:
    async with Redis.from_url(network.env["SEATWRIGHT_REDIS_URL"], socket_timeout=1, retry=None) as client:
        await client.ping()
        yield client


async def test_a_slow_line_delays_each_answer(line: Line, redis: Redis) -> None:
    await line.slow(0.3)
    started = perf_counter()
    await redis.ping()
    assert perf_counter() - started > 0.25


async def test_a_cut_line_refuses_connections(line: Line, redis: Redis) -> None:
    await line.cut()
    with pytest.raises(Disconnected):
        await redis.ping()


async def test_a_black_hole_swallows_what_is_sent(line: Line, redis: Redis) -> None:
    await line.black_hole()
    with pytest.raises(NoAnswer):
        await redis.ping()


async def test_a_reset_line_drops_each_connection(line: Line, redis: Redis) -> None:
    await line.reset()
    with pytest.raises(Disconnected):
        await redis.ping()


@pytest.mark.parametrize("trouble", ["slow", "cut", "black_hole", "reset"])
async def test_a_healed_line_is_like_new(line: Line, redis: Redis, trouble: str) -> None:
    await (line.slow(2) if trouble == "slow" else getattr(line, trouble)())
    await line.heal()
    await redis.connection_pool.disconnect()
    with watch() as taken:
        assert await redis.ping()
    assert taken.seconds < taken.allows(1)


@pytest.fixture
async def common() -> AsyncIterator[Network]:
    """Lines of the stack that has Kafka for all tests: to start another one takes longer than all tests here."""
    running = Stack(os.environ.get("SEATWRIGHT_STACK", "test"), ports="free")
    await asyncio.to_thread(running.up, "kafka", "toxiproxy")
    async with Network(running) as made:
        yield made


async def test_a_kafka_client_that_comes_through_the_line_stays_behind_it(common: Network) -> None:
    line = await common.line("kafka")
    quiet: dict[str, Any] = {"error_cb": lambda error: None, "log_level": 0, "socket.timeout.ms": 1000}
    client = AdminClient(quiet | {"bootstrap.servers": common.env["SEATWRIGHT_KAFKA_BOOTSTRAP"]})
    brokers = (await asyncio.to_thread(client.list_topics, timeout=60)).brokers
    assert {broker.port for broker in brokers.values()} == {line.port}
    await line.cut()
    with pytest.raises(KafkaException):
        await asyncio.to_thread(client.list_topics, timeout=2)


async def test_each_variable_leads_through_its_line(stack: Stack, network: Network) -> None:
    for server in ("postgres", "redis", "temporal", "kafka", "elasticsearch", "sandbox", "smtp"):
        await network.line(server)
    names = {name.removeprefix("SEATWRIGHT_") for name in network.env}
    assert names >= {
        "POSTGRES_PORT", "REDIS_URL", "TEMPORAL_ADDRESS", "KAFKA_BOOTSTRAP", "ELASTICSEARCH_URL", "SANDBOX_URL",
        "SMTP_PORT",
    }  # fmt: skip
    assert not names & {"TEMPORAL_UI_URL", "MAIL_UI_URL", "API_URL", "MODE"}
