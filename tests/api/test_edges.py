"""What the API does around every call: conditional reads, pages of other origins, media types, an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from config.settings import Settings
from stack import Stack
from tests.api.people import problem
from tests.http_client import http_client
from tests.platform_client import PlatformClient
from tests.waiting import eventually


async def test_who_has_the_present_answer_is_spared_it(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    path, http = f"/v1/events/{event}/seats", platform.http
    first = await http.get(path)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await http.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["x-request-id"]
    await buyer.held(event, "A-1-1")
    changed = await http.get(path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["etag"] == tag) == (200, False)


async def test_only_whole_answers_to_reads_have_a_tag(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    held = await buyer.hold(event, "A-1-1")
    missing = await buyer.get(f"/v1/bookings/{uuid4()}")
    for answer in (held, missing):
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
    own = await buyer.get(f"/v1/bookings/{held.json()['id']}")
    assert own.headers["cache-control"] == "private, no-cache"


async def test_a_redirect_never_goes_to_a_host_that_the_caller_names(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/search/", headers={"Host": "evil.example.test"})
    assert (answer.status_code, problem(answer)) == (404, "not-found")
    assert "location" not in answer.headers


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


async def test_only_pages_of_configured_origins_may_call(client: httpx2.AsyncClient, settings: Settings) -> None:
    ours, other = settings.temporal_ui_url, "https://evil.example"
    allowed = await client.options("/v1/codec/decode", headers=PREFLIGHT | {"Origin": ours})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ours)
    refused = await client.options("/v1/codec/decode", headers=PREFLIGHT | {"Origin": other})
    assert (refused.status_code, refused.headers.get("access-control-allow-origin")) == (400, None)
    for origin, echoed in ((ours, ours), (other, None)):
        answer = await client.get("/v1/search", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == echoed
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
@pytest.mark.parametrize("path", ["/v1/users", "/v1/sessions", "/v1/bookings"])
async def test_a_body_that_is_not_said_to_be_json_is_refused(platform: PlatformClient, path: str, kind: str) -> None:
    headers = platform.new_buyer().headers | ({"Content-Type": kind} if kind else {})
    answer = await platform.http.post(path, content=b'{"email": "a@example.test"}', headers=headers)
    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")


@pytest.fixture
async def leaving(stack: Stack) -> AsyncIterator[tuple[str, int]]:
    """An API process that serves for ten seconds after it is asked to stop: its address and its pid."""
    name = f"api-leaving-{uuid4().hex[:6]}"
    spawned = await asyncio.to_thread(stack.spawn, name, "api", env={"SEATWRIGHT_DRAIN": "10"})
    pid = stack.pid(name)
    assert pid
    yield f"http://127.0.0.1:{spawned.ports['api']}", pid
    await asyncio.to_thread(stack.stop, name)


async def test_a_process_that_stops_under_load_answers_every_request(
    leaving: tuple[str, int], platform: PlatformClient
) -> None:
    """Buyers come until the load balancer hears that the process is draining, which takes it a moment."""
    url, pid = leaving
    event, taken, held = await platform.event(rows=40, seats_per_row=25), iter(range(1000)), []
    turned_away = asyncio.Event()

    async def buy(http: httpx2.AsyncClient) -> None:
        buyer = platform.new_buyer().at(http)
        while not turned_away.is_set():
            number = next(taken)
            answer = await buyer.hold(event, f"A-{number // 25 + 1}-{number % 25 + 1}")
            held.append(answer.status_code)

    async with http_client(url) as http:
        buyers = [asyncio.create_task(buy(http)) for _ in range(4)]
        await eventually(lambda: len(held) >= 8)
        os.kill(pid, signal.SIGTERM)
        answer = await eventually(lambda: _draining(url))
        assert answer["status"] == "draining"
        so_far = len(held)
        await eventually(lambda: len(held) >= so_far + 4)
        turned_away.set()
        await asyncio.gather(*buyers)
    assert set(held) == {201}
    await eventually(lambda: not _is_alive(pid), within=60)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _draining(url: str) -> Any:
    async with http_client(url) as http:
        answer = await http.get("/readyz")
        return answer.json() if answer.status_code == 503 else None
