"""(c) A hold against plain SET NX PX, both pipelined, by commands per CPU second of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from time import perf_counter
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit
from uuid import uuid4

from redis.asyncio import Redis

from adapters.redis.seat_locks import Claims, Places, SeatLocks
from bench.cpu import Cpu, between
from bench.environment import fresh_stack, settings_of
from bench.figures import Figure, measured
from bench.rounds import Sample, interleaved, ratios

PART = "holds"
TTL = timedelta(seconds=600)
COMMANDS = 60_000  # a turn
PIPELINED = 500
_ONE, _FOUR, _PLAIN = "hold, 1 seat", "hold, 4 seats", "SET NX PX"


class Turn(NamedTuple):
    """Encoded commands, and the expected reply of each."""

    commands: Sequence[bytes]
    answer: bytes


async def run(*, rounds: int) -> Sequence[Figure]:
    """Measure each contestant `rounds` times."""
    with fresh_stack("redis") as stack:
        url = settings_of(stack).redis_url.get_secret_value()
        async with Redis.from_url(url) as redis:

            def turn(prepare: Callable[[], Awaitable[Turn]]) -> Callable[[], Awaitable[Sample]]:
                async def take() -> Sample:
                    await redis.flushall()
                    return await _send(redis, url, await prepare())

                return take

            samples = await interleaved(
                rounds,
                {
                    _PLAIN: turn(_plain),
                    _ONE: turn(lambda: _holds(redis, seats=1)),
                    _FOUR: turn(lambda: _holds(redis, seats=4)),
                },
            )
    speeds = {name: [sample.done / sample.cpu["redis"] for sample in of] for name, of in samples.items()}
    return [
        measured(PART, f"{_ONE}, against {_PLAIN}", ratios(speeds[_ONE], speeds[_PLAIN]), "x", at_least=0.5),
        measured(PART, f"{_FOUR}, against {_PLAIN}", ratios(speeds[_FOUR], speeds[_PLAIN]), "x"),
        *(measured(PART, f"{name}: a CPU second of Redis", of, "/s") for name, of in speeds.items()),
    ]


async def _plain() -> Turn:
    ttl = TTL // timedelta(milliseconds=1)
    event = uuid4()
    keys = (f"seatwright:{{{event}}}:seat:A-{row}-0" for row in range(COMMANDS))
    return Turn([_packed("SET", key, str(uuid4()), "NX", "PX", ttl) for key in keys], b"+OK\r\n")


async def _holds(redis: Redis, seats: int) -> Turn:
    """The commands of `SeatLocks.hold`, for bookings of this number of seats in a loaded event."""
    event = uuid4()
    await SeatLocks(redis).load(event, "", Claims({}, [], []), datetime.now(UTC))
    wire = _Wire()
    locks = SeatLocks(cast(Redis, wire))
    for row in range(COMMANDS):
        await locks.hold(Places(event, uuid4(), [f"A-{row}-{number}" for number in range(seats)], {}), TTL)
    for lua in wire.sources:
        await redis.script_load(lua)
    return Turn(wire.holds, b"$4\r\nheld\r\n" if wire.uses_script else b":1\r\n+OK\r\n")


class _Wire:
    """Takes the place of Redis for `SeatLocks`, and records the encoded commands of each hold."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.holds: list[bytes] = []
        self.uses_script = False

    def register_script(self, lua: str) -> Callable[..., Awaitable[Any]]:
        self.sources.append(lua)
        digest = sha1(lua.encode()).hexdigest()

        async def call(keys: Sequence[str], args: Sequence[str | int]) -> bytes:
            self.uses_script = True
            self.holds.append(_packed("EVALSHA", digest, len(keys), *keys, *args))
            return b"held"

        return call

    @asynccontextmanager
    async def pipeline(self, *, transaction: bool) -> AsyncIterator[_Together]:
        assert not transaction, "MULTI and EXEC are not recorded"
        yield _Together(self.holds)


class _Together:
    """Commands that are sent together."""

    def __init__(self, holds: list[bytes]) -> None:
        self._holds = holds
        self._commands = b""

    def exists(self, key: str) -> None:
        self._commands += _packed("EXISTS", key)

    def set(self, key: str, value: str, *, px: int, nx: bool) -> None:
        assert nx
        self._commands += _packed("SET", key, value, "PX", px, "NX")

    async def execute(self) -> tuple[int, bool]:
        self._holds.append(self._commands)
        return 1, True


def _packed(*parts: str | int) -> bytes:
    words = [str(part).encode() for part in parts]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


async def _send(redis: Redis, url: str, turn: Turn) -> Sample:
    """Send all commands over one connection in batches, and check each reply."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    before, started = await _cpu(redis), perf_counter()
    for first in range(0, len(turn.commands), PIPELINED):
        batch = turn.commands[first : first + PIPELINED]
        writer.write(b"".join(batch))
        expected = turn.answer * len(batch)
        if await reader.readexactly(len(expected)) != expected:
            raise RuntimeError("Redis has not answered as expected")
    took = perf_counter() - started
    sample = Sample(len(turn.commands), took, between(before, await _cpu(redis)))
    writer.close()
    await writer.wait_closed()
    return sample


async def _cpu(redis: Redis) -> Cpu:
    """CPU time from Redis itself, in microseconds; /proc counts in 10 ms, which is too coarse for a short turn."""
    used = await redis.info("cpu")
    return {"redis": used["used_cpu_user"] + used["used_cpu_sys"]}
