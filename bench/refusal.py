"""(d) The refusal of a taken seat by the API, against a bare FastAPI route with the same model and server options."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from bench.client import CONFIRMED, ApiClient, log_in, open_http, publish, register_buyers
from bench.cpu import Meter
from bench.environment import fresh_stack, pids, settings_of
from bench.figures import Figure, measured, split_up
from bench.processes import running
from bench.rounds import Sample, by_process, closed_loop, interleaved, ratios
from stack.ports import choose_free
from temporal.connection import connect

PART = "refusal"
SEATS = ["A-1-1", "A-1-2"]
_API, _BASELINE = "refusal by the API", "bare route"
_SERVER = "server"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


async def run(*, rounds: int, seconds: float, concurrency: int) -> Sequence[Figure]:
    """Measure each contestant `rounds` times; fails if a refusal does not name the seats."""
    with fresh_stack("api", "work") as stack:
        [port] = choose_free(["baseline"]).values()
        baseline = f"http://127.0.0.1:{port}"
        with running(stack, "baseline-route", str(port), ready=f"{baseline}/readyz") as baseline_pid:
            api = settings_of(stack).api_url
            request = await _request_for_sold_seats(api)
            [api_pid] = pids(stack, "api").values()
            others = pids(stack, "postgres", "redis")
            contestants = {
                _API: _turn(api, request, concurrency, seconds, Meter({_SERVER: api_pid, **others})),
                _BASELINE: _turn(baseline, request, concurrency, seconds, Meter({_SERVER: baseline_pid, **others})),
            }
            temporal = await connect(settings_of(stack))
            await interleaved(1, contestants)  # warms up; Temporal also needs time to count earlier workflows
            before = await temporal.count_workflows()
            samples = await interleaved(rounds, contestants)
            started = (await temporal.count_workflows()).count - before.count
    return _figures(samples, started)


async def _request_for_sold_seats(api: str) -> bytes:
    """Sell two seats; returns another buyer's request for them, with a placeholder for the idempotency key."""
    async with open_http(api) as http:
        first, second, *_ = await log_in(http, *await register_buyers(http))
        event = await publish(http, 1000)
        sold = await ApiClient(http, [first]).buy(event, SEATS)
        if sold.outcome != CONFIRMED:
            raise RuntimeError(f"the seats were not sold: {sold.outcome}")
    body = orjson.dumps({"event_id": event, "seats": SEATS})
    head = (
        f"POST /v1/bookings HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {second}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: KEY\r\n\r\n"
    )
    return head.encode() + body


def _turn(url: str, request: bytes, concurrency: int, seconds: float, meter: Meter) -> Callable[[], Awaitable[Sample]]:
    async def take() -> Sample:
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(_Line(url)) for _ in range(concurrency)]

            async def refused() -> None:
                line = lines.pop()
                status, body = await line.ask(request.replace(b"KEY", uuid4().hex.encode(), 1))
                if status != 409 or any(seat.encode() not in body for seat in SEATS):
                    raise RuntimeError(f"not refused: {status} {body.decode()}")
                lines.append(line)

            return await closed_loop(refused, concurrency=concurrency, seconds=seconds, meter=meter)

    return take


class _Line:
    """One kept-alive connection that costs this process almost no CPU, so that the server is the bottleneck."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; returns status and body of the response."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return int(head.split(b" ", 2)[1]), await self._reader.readexactly(int(length[1]) if length else 0)


def _figures(samples: Mapping[str, Sequence[Sample]], started: int) -> Sequence[Figure]:
    a_cpu_second = {name: [sample.done / sample.cpu[_SERVER] for sample in of] for name, of in samples.items()}
    figures = [
        measured(
            PART,
            f"{_API} against a {_BASELINE}",
            ratios(a_cpu_second[_API], a_cpu_second[_BASELINE]),
            "x",
            at_least=0.5,
        ),
        measured(PART, "workflows started by refusals", [started], at_most=0),
    ]
    for name, of in samples.items():
        figures += [
            measured(PART, f"{name}: a CPU second of the server", a_cpu_second[name], "/s"),
            measured(PART, f"{name}: completed", [sample.rate for sample in of], "/s"),
            split_up(PART, f"{name}: CPU by process", by_process(of), "ms"),
        ]
    return figures
