"""The trace of a booking has each step once, from the buyer's request to the mail, also after a worker's death."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import uuid4

import httpx2
import pytest

from cli.trace import of_trace, spans_of
from stack import Stack
from stack.state import load
from tests.buyer import Buyer
from tests.http_client import patient_client
from tests.otlp import Span, Spans, receiver
from tests.platform_client import PlatformClient
from tests.scenarios.test_outcomes import register
from tests.traces import trace_of
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive  # processes that send their spans take the place of the stack's

TRACED = ("api", "work", "relay", "consume")
DETAILS = {"SELECT", "EVALSHA", "StartActivity:issue"}
INNER = "GET /internal/v1/users/{user_id}/contact"
ACTIVITIES = {"hold": 1, "start_payment": 1, "authorize": 1, "commit": 1, "capture": 2, "issue": 1}


class Traced(NamedTuple):
    """The processes that send their spans."""

    stack: Stack
    names: dict[str, str]
    sent: Sent
    http: httpx2.AsyncClient

    async def kill_worker(self) -> None:
        """Kill the worker, and start another one, which knows no workflow."""
        await asyncio.to_thread(self.stack.kill, self.names["work"])
        await asyncio.to_thread(self.stack.start, self.names["work"])


class OfJaeger:
    """The spans that Jaeger has, by its API."""

    def __init__(self, stack: Stack) -> None:
        stack.up("jaeger")
        ports = load(stack.paths.state).ports
        self.endpoint = f"http://127.0.0.1:{ports['jaeger-otlp']}/v1/traces"
        self._api = f"http://127.0.0.1:{ports['jaeger']}"

    def of(self, trace: str) -> list[Span]:
        with httpx2.Client(base_url=self._api) as jaeger:
            found = of_trace(jaeger, trace)
        return [
            Span(trace, span.id, span.parent, span.process, span.name, span.is_error, {})
            for each in found
            for span in spans_of(each)
        ]


class Sent(NamedTuple):
    """Where the spans go, and the share of the traces with all details."""

    to: Spans | OfJaeger
    details: float


@pytest.fixture(
    params=[
        ("receiver", 0),
        pytest.param(("receiver", 1), marks=pytest.mark.thorough),
        pytest.param(("jaeger", 1), marks=pytest.mark.thorough),  # to build it takes minutes
    ],
    ids=lambda param: f"{param[0]}, {param[1]:.0%} with details",
)
def sent(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Sent]:
    kind, details = request.param
    if kind == "jaeger":
        yield Sent(OfJaeger(stack), details)
        stack.stop("jaeger")
    else:
        with receiver() as received:
            yield Sent(received, details)


@pytest.fixture
async def traced(stack: Stack, sent: Sent) -> AsyncIterator[Traced]:
    async with traced_processes(stack, sent) as processes:
        yield processes


@asynccontextmanager
async def traced_processes(stack: Stack, sent: Sent) -> AsyncIterator[Traced]:
    names = {like: f"{like}-traced-{uuid4().hex[:6]}" for like in TRACED}
    replaced = [like for like in TRACED if like != "api"]  # all others take their work from the same queues
    for like in replaced:
        await asyncio.to_thread(stack.stop, like)
    try:
        env = {"SEATWRIGHT_TRACES_ENDPOINT": sent.to.endpoint, "SEATWRIGHT_TRACES_DETAILS": str(sent.details)}
        api = await asyncio.to_thread(stack.spawn, names["api"], "api", env=env)
        env["SEATWRIGHT_IDENTITY_URL"] = f"http://127.0.0.1:{api.ports['api-internal']}"
        for like in replaced:
            await asyncio.to_thread(stack.spawn, names[like], like, env=env)
        async with patient_client(f"http://127.0.0.1:{api.ports['api']}") as http:
            yield Traced(stack, names, sent, http)
    finally:
        for name in names.values():
            await asyncio.to_thread(stack.stop, name)
        for like in replaced:
            await asyncio.to_thread(stack.start, like)


async def test_one_trace_shows_each_step_once_from_the_request_to_the_mail(
    platform: PlatformClient, traced: Traced
) -> None:
    buyer = (await register(platform)).at(traced.http)
    held = await buyer.hold(await platform.event(), "A-1-1")
    booking, trace, spans = held.json()["id"], trace_of(held), traced.sent.to
    # A killed process takes with it the spans of its last second, which it has not sent.
    await eventually(lambda: "HandleUpdate:hold" in {span.name for span in spans.of(trace)})
    await traced.kill_worker()
    await platform.provider.will("500_before", "capture", booking)
    await _pay(buyer, booking)

    found = await eventually(lambda: _whole(spans.of(trace)))
    by_id = {span.id: span for span in found}
    assert len(by_id) == len(found)
    assert {span.process for span in found} == set(TRACED)
    runs = Counter(span.name.removeprefix("RunActivity:") for span in found if span.name.startswith("RunActivity:"))
    assert {name: runs[name] for name in ACTIVITIES} == ACTIVITIES
    once = Counter((span.name, span.parent) for span in found if span.name.startswith(("Start", "RunW", "publish")))
    assert set(once.values()) == {1}, "a duplicate"
    assert [span.is_error for span in found if span.name == "RunActivity:capture"] == [True, False]
    [mail] = [span for span in found if span.name == "SMTP send"]
    assert [span.name for span in _causes(mail, by_id) if span.name not in DETAILS] == [
        "notification booking.confirmed", "publish booking.confirmed", "RunActivity:issue",
        "RunWorkflow:Booking", "StartUpdateWithStartWorkflow:Booking", "POST /v1/bookings",
    ]  # fmt: skip
    assert {span.name for span in found} & DETAILS == (DETAILS if traced.sent.details else set())
    [inner] = [span for span in found if span.name == INNER]
    assert [span.name for span in _causes(inner, by_id)][:2] == ["GET identity", "notification booking.confirmed"]


async def _pay(buyer: Buyer, booking: str) -> None:
    paid = await buyer.pay(booking)
    assert paid.status_code == 200, paid.text


def _whole(found: list[Span]) -> list[Span]:
    """All spans, as soon as the last ones are there and none is an orphan: each process sends its own every second."""
    names, ids = {span.name for span in found}, {span.id for span in found} | {""}
    assert {"SMTP send", "RunWorkflow:Booking", "POST /v1/bookings", "analytics booking.confirmed", INNER} <= names
    assert [span for span in found if span.parent not in ids] == []
    assert len([span for span in found if not span.parent]) == 1
    return found


def _causes(span: Span, by_id: dict[str, Span]) -> list[Span]:
    causes = []
    while cause := by_id.get(span.parent):
        causes.append(cause)
        span = cause
    return causes
