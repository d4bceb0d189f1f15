"""Every call is answered in time: where one of our servers hangs, the answer is a 503 that says what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import orjson
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute, iter_route_contexts
from redis.asyncio import Redis

from api.app import create_app
from api.edge import answer_time
from api.edge.answer_time import AnswerTime
from api.edge.request_context import RequestContext
from api.http import deadlines
from api.http.resources import open_resources
from config.settings import Settings
from tests.api.people import problem

DEVELOPMENT = Settings(mode="development")


@pytest.fixture
async def http(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx2.AsyncClient]:
    """An application of routes that hang in different ways, each bounded by 0.2 s."""
    monkeypatch.setattr(answer_time, "_SECONDS", 0.2)
    app = FastAPI()
    app.state.draining = False

    async def hangs() -> None:
        await asyncio.sleep(60)

    async def hangs_on() -> None:
        """As psycopg does while it waits for a server that hangs to accept the cancellation."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            raise

    async def fails_late() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError from None

    async def streams() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b"part "
                await asyncio.sleep(0.1)

        return StreamingResponse(parts())

    for call in (hangs, hangs_on, fails_late):
        app.add_api_route(f"/{call.__name__}", call, methods=["GET", "POST"])
    app.add_api_route("/streams", streams)
    app.add_middleware(AnswerTime, settings=DEVELOPMENT.model_copy(update={"hold_wait": 0.0, "payment_wait": 0.0}))
    app.add_middleware(RequestContext)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api") as opened:
        yield opened


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/hangs", "/fails_late"])
async def test_a_call_that_hangs_gets_503_in_time(http: httpx2.AsyncClient, method: str, path: str) -> None:
    began = time.monotonic()
    answer = await http.request(method, path)
    assert (answer.status_code, problem(answer)) == (503, "outcome-unknown" if method == "POST" else "unavailable")
    assert time.monotonic() - began < 5
    assert answer.headers["retry-after"] == "1"


async def test_the_503_does_not_wait_until_the_call_has_given_up() -> None:
    sent: list[tuple[float, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise

    async def send(message: Any) -> None:
        sent.append((time.monotonic(), message))

    bounded = AnswerTime(app, DEVELOPMENT)
    bounded.bound_of = lambda method, path: 0.1  # type: ignore[method-assign]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    began = time.monotonic()
    await bounded(scope, None, send)  # type: ignore[arg-type]
    assert [message["type"] for _, message in sent] == ["http.response.start", "http.response.body"]
    assert orjson.loads(sent[1][1]["body"])["status"] == 503
    assert sent[1][0] - began < 0.9 < time.monotonic() - began
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0, "the connection's task goes on"


async def test_an_answer_that_has_begun_may_take_longer(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/streams")).text == "part " * 4


async def test_a_caller_who_leaves_still_cancels_the_call() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    call = asyncio.create_task(AnswerTime(app, DEVELOPMENT)(scope, None, None))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_every_route_has_a_bound_and_only_sagas_a_long_one() -> None:
    app = create_app(DEVELOPMENT)
    bounded = AnswerTime(app, DEVELOPMENT)
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    calls = {
        f"{method} {route.path}": bounded.bound_of(method, route.path)
        for route in routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    long = {call for call, seconds in calls.items() if seconds > answer_time._SECONDS}
    assert len(calls) > 70
    assert all("/bookings" in call or call.endswith(("/publish", "/cancel")) for call in long), long
    for call, wait in [
        ("POST /v1/bookings", DEVELOPMENT.hold_wait),
        ("POST /v1/bookings/{booking_id}/payment", DEVELOPMENT.payment_wait),
        ("POST /v1/events/{event_id}/publish", deadlines.CHANGE_WAIT),
        ("POST /v1/events/{event_id}/cancel", deadlines.CHANGE_WAIT),
    ]:
        assert calls[call] >= wait + 2 * answer_time._SECONDS, call
    assert "AnswerTime" in {getattr(middleware.cls, "__name__", "") for middleware in app.user_middleware}


async def test_connections_stay_open_until_no_abandoned_call_uses_them() -> None:
    order = list[str]()

    async def hangs_on(calls: int) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            order.append("a call ends")
            if calls > 1:
                await given_up(calls - 1)
            raise

    async def given_up(calls: int) -> None:
        with pytest.raises(TimeoutError):
            await deadlines.with_deadline(hangs_on(calls), 0.01)

    async def close() -> None:
        order.append("its connection closes")

    async def opening(_: Settings, __: Redis, stack: AsyncExitStack) -> object:
        stack.push_async_callback(close)
        return object()

    async with open_resources(DEVELOPMENT, (), [opening]):
        await given_up(calls=2)
    assert order == ["a call ends", "a call ends", "its connection closes"]
