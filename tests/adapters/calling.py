"""Calls Stripe's API many times at once: `python -m tests.adapters.calling SANDBOX REDIS RATE INTENT CALLS`."""

import asyncio
import sys
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.payment.call_limit import CallLimit
from adapters.payment.stripe.gateway import StripeGateway
from sandbox.testing import API_KEY


async def call(sandbox: str, redis_url: str, rate: float, intent: str, calls: int) -> None:
    async with Redis.from_url(redis_url, socket_connect_timeout=1) as redis:
        await _met(redis)
        gateway = StripeGateway(API_KEY, base_url=sandbox, limit=CallLimit(redis, "stripe", rate))
        await asyncio.gather(*(gateway.retrieve(intent) for _ in range(calls)))
        await gateway.close()


async def _met(redis: Redis) -> None:
    """Connect before the first turn: a process that has just begun on a busy machine is slow, and Redis is not away."""
    with suppress(RedisError, OSError):
        await redis.ping()


if __name__ == "__main__":
    asyncio.run(call(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
