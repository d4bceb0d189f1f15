"""A crowd of callers is refused before its bodies cost anything, and delays no others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock
from uuid import uuid4

import httpx2
import pytest

from api.app import create_app
from api.auth.tokens import Principal
from api.edge import body_guard, rate_counters
from api.edge.rate_counters import Allowance, Counters, LocalCounter
from api.http.off_loop import Queue, off_loop
from config.rate_limits import RATE_LIMITS
from config.settings import Settings
from domain.identity import Role
from domain.problems import ProblemType, Refused
from tests.api.people import problem
from tests.api.test_loop_is_free import issuer
from tests.waiting import eventually

CLASSES = [
    ("POST", "/v1/sessions", "log-in"),
    ("POST", "/v1/sessions/second-factor", "log-in"),
    ("POST", "/v1/oauth/authorize", "log-in"),
    ("GET", "/v1/oauth/authorize", "read"),
    ("POST", "/v1/oauth/token", "token"),
    ("POST", "/v1/users", "register"),
    ("POST", "/v1/bookings", "book"),
    ("GET", "/v1/bookings", "read"),
    ("DELETE", "/v1/bookings/1", "write"),
    ("POST", "/v1/bookings/1/payment", "pay"),
    ("DELETE", "/v1/bookings/1/payment", "write"),
    ("POST", "/v1/bookings/1/refund", "pay"),
    ("POST", "/v1/bookings/1/refund/quote", "write"),
    ("POST", "/v1/bookings/1/exchange", "pay"),
    ("GET", "/v1/events/1/seats", "seats"),
    ("HEAD", "/v1/events/1/seats", "seats"),
    ("POST", "/v1/events/1/seats", "write"),
    ("POST", "/v1/events/1/publish", "publish"),
    ("POST", "/v1/events/1/cancel", "write"),
    ("GET", "/v1/events/1/seats/2", "read"),
    ("GET", "/v1/events/1/sales", "read"),
    ("GET", "/v1/me/export", "export"),
    ("HEAD", "/v1/me/export", "export"),
    ("DELETE", "/v1/me/export", "write"),
    ("GET", "/v1/me", "read"),
    ("HEAD", "/v1/me", "read"),
    ("PATCH", "/v1/me", "write"),
    ("OPTIONS", "/v1/me/export", None),
    ("POST", "/v1/webhooks/stripe", None),
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
]
LIMITS = {**RATE_LIMITS, "book": "3/minute"}
LARGE = b'{"a":"' + b"x" * 5000 + b'"}'


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that were scanned; a scan of the fixture takes a moment."""
    scanned: list[str] = []

    def slow(scope: dict[str, Any], *_: object) -> None:
        time.sleep(0.02)
        scanned.append(scope["path"])

    monkeypatch.setattr(body_guard, "find_card_number", slow)
    return scanned


@pytest.fixture
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts without Redis, in a window that does not end."""
    monkeypatch.setattr(rate_counters, "time", SimpleNamespace(time=lambda: 1000.0))
    counts: Counter[tuple[str, ...]] = Counter()

    async def spend(_: Counters, limit: Any, *subject: str, amount: int = 1) -> Allowance:
        counts[subject] += amount
        return Allowance(limit.amount, limit.get_expiry(), limit.amount - counts[subject], 1)

    monkeypatch.setattr(Counters, "spend", spend)


class Crowd:
    """Calls the application without any server."""

    def __init__(self, limits: dict[str, str]) -> None:
        self.app = create_app(Settings(mode="development", rate_limits=limits))
        token = issuer(self.app).issue(Principal(uuid4(), frozenset({Role.CUSTOMER})))
        self.user = {"Authorization": f"Bearer {token}"}
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://api")

    async def hold(self, body: bytes = b"{}", headers: dict[str, str] | None = None) -> httpx2.Response:
        return await self.http.post("/v1/bookings", content=body, headers=headers)


@pytest.fixture
async def free() -> AsyncIterator[Crowd]:
    crowd = Crowd({})
    yield crowd
    await crowd.http.aclose()


@pytest.fixture
async def limited(_counted: None) -> AsyncIterator[Crowd]:
    crowd = Crowd(LIMITS)
    yield crowd
    await crowd.http.aclose()


async def test_each_call_is_counted_in_its_class(limited: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counters, "spend", AsyncMock(return_value=Allowance(1, 60, -1, 60)))  # all is spent

    async def counted_as(method: str, path: str) -> str | None:
        policy = (await limited.http.request(method, path)).headers.get("ratelimit-policy")
        return policy.split('"')[1] if policy else None

    calls = [(method, path, await counted_as(method, path)) for method, path, _ in CLASSES]
    assert calls == CLASSES


async def test_a_hold_without_a_log_in_is_counted_once_and_before_its_body_is_scanned(
    limited: Crowd, scans: list[str]
) -> None:
    answers = [await limited.hold(LARGE) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert [answer.headers["ratelimit"][:10] for answer in answers[:3]] == [f'"book";r={n}' for n in (2, 1, 0)]
    assert len(scans) == 3


async def test_a_surge_of_a_users_holds_is_refused_before_its_bodies_are_scanned(
    limited: Crowd, scans: list[str]
) -> None:
    answers = [await limited.hold(LARGE, limited.user) for _ in range(33)]
    assert [answer.status_code == 429 for answer in answers] == [False] * 3 + [True] * 30
    assert len(scans) == 30
    assert problem(answers[-1]) == "rate-limited"
    assert ["ratelimit" in answer.headers for answer in answers[3:]] == [True] * 27 + [False] * 3


async def test_other_calculations_do_not_wait_behind_large_bodies(free: Crowd, scans: list[str]) -> None:
    crowd = [asyncio.create_task(free.hold(LARGE)) for _ in range(50)]
    await eventually(lambda: bool(scans))
    before = len(scans)
    await off_loop(time.sleep, 0)
    assert len(scans) - before <= 2
    await asyncio.gather(*crowd)


async def test_more_large_bodies_than_may_wait_are_unavailable(free: Crowd, scans: list[str]) -> None:
    answers = await asyncio.gather(*(free.hold(LARGE) for _ in range(150)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {problem(answer) for answer in refused} == {"unavailable"}
    assert len(scans) == 150 - len(refused)
    assert len(refused) >= 40
    assert (await free.hold(LARGE)).status_code == 401, "there is room again"


async def test_a_queue_refuses_who_has_waited_too_long_and_goes_on() -> None:
    queue = Queue(places=10, seconds=0.05)
    first = asyncio.create_task(queue.result(time.sleep, 0.3))
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await queue.result(time.sleep, 0)
    assert refused.value.problem.type is ProblemType.UNAVAILABLE
    await first
    assert await queue.result(sum, [1, 2]) == 3


def test_a_local_counter_counts_each_subject_in_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(rate_counters, "time", SimpleNamespace(time=lambda: now))
    counter = LocalCounter(quota=2, window=60)
    assert [counter.spend("a").left for _ in range(3)] == [1, 0, -1]
    assert [counter.spend("b", amount=0).left for _ in range(2)] == [2, 2]
    assert counter.spend("a") == Allowance(2, 60, -2, 20)
    now = 1020.0
    assert counter.spend("a").left == 1


async def test_an_address_whose_webhooks_are_refused_again_and_again_has_to_wait(limited: Crowd) -> None:
    limited.app.state.resources = SimpleNamespace(engines={"payment": None})
    deep = b'{"status":' + b"[" * 1000 + b"]" * 1000 + b"}"
    answers = [await limited.http.post("/v1/webhooks/iyzico", content=deep) for _ in range(61)]
    assert [answer.status_code for answer in answers] == [400] * 60 + [429]
    assert (problem(answers[0]), problem(answers[-1])) == ("invalid-signature", "rate-limited")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
