"""What a caller sends as its trace is named, and decides nothing; and no span is lost when the API stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import uuid4

import httpx2
import pytest

from config.settings import Settings, secret
from stack import Stack
from tests.http_client import http_client
from tests.otlp import Spans, receiver
from tests.traces import trace_of
from tests.waiting import eventually

SPAN = "00f067aa0ba902b7"


class Api(NamedTuple):
    """An API that sends its spans."""

    name: str
    public: httpx2.AsyncClient
    internal: httpx2.AsyncClient
    spans: Spans


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[Api]:
    name = f"api-traced-{uuid4().hex[:6]}"
    with receiver() as spans:
        env = {"SEATWRIGHT_TRACES_ENDPOINT": spans.endpoint}
        ports = (await asyncio.to_thread(stack.spawn, name, "api", env=env)).ports
        async with (
            http_client(f"http://127.0.0.1:{ports['api']}") as public,
            http_client(f"http://127.0.0.1:{ports['api-internal']}") as internal,
        ):
            yield Api(name, public, internal, spans)
        await asyncio.to_thread(stack.stop, name)


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_a_callers_trace_is_named_in_a_trace_of_our_own(api: Api, flags: str) -> None:
    caller = uuid4().hex
    answer = await api.public.get("/v1/events", headers={"traceparent": f"00-{caller}-{SPAN}-{flags}"})
    assert trace_of(answer) != caller
    [root] = await eventually(lambda: [span for span in api.spans.of(trace_of(answer)) if not span.parent])
    assert root.links == (caller,)
    assert not api.spans.of(caller)


async def test_our_own_processes_continue_their_traces(api: Api, settings: Settings) -> None:
    for token, is_ours in ((secret(settings.internal_token), True), ("another", False)):
        caller = uuid4().hex
        headers = {"traceparent": f"00-{caller}-{SPAN}-01", "Authorization": f"Bearer {token}"}
        answer = await api.internal.get(f"/internal/v1/users/{uuid4()}/contact", headers=headers)
        assert (trace_of(answer) == caller) is is_ours


async def test_an_api_that_stops_sends_its_last_spans(api: Api, stack: Stack) -> None:
    answer = await api.public.get("/v1/events")
    await asyncio.to_thread(stack.stop, api.name)
    assert api.spans.of(trace_of(answer))


async def test_an_api_without_a_collector_passes_its_callers_trace_on(client: httpx2.AsyncClient) -> None:
    """`test_traces.py` shows how far."""
    answer = await client.get("/v1/events", headers={"traceparent": f"00-{uuid4().hex}-{SPAN}-01"})
    assert "traceresponse" not in answer.headers
