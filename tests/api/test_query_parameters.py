"""A query parameter that a call does not have is refused on every route, since its sender expects something of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from api.app import create_app
from config.settings import Settings
from tests.http_client import http_client

APP = create_app(Settings(mode="development"))
ID = "0190b6f0-0000-7000-8000-000000000000"
OPEN = {
    "/v1/oauth/authorize",
    "/v1/log-in/{provider}/back",
    "/v1/bookings/{booking_id}/payment/return",
    "/v1/bookings/{booking_id}/exchanges/{exchange_id}/return",
    "/v1/webhooks/{provider}",
}
"""Other systems call these, with parameters of their own."""


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """At the internal port, which answers all calls, internal ones included."""
    async with http_client(settings.identity_address) as opened:
        yield opened


def calls(*, closed: bool) -> Iterator[tuple[str, str]]:
    for context in iter_route_contexts(APP.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and (route.path not in OPEN) is closed:
            path = re.sub(r"\{\w+\}", ID, route.path)
            yield from ((method, path) for method in sorted(route.methods or ()))


@pytest.mark.parametrize(("method", "path"), list(calls(closed=True)))
async def test_an_unknown_query_parameter_is_refused_by_its_name(
    client: httpx2.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, f"{path}?try_only=true")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "query.try_only", "message": "is not a parameter of this call"}]


@pytest.mark.parametrize(("method", "path"), list(calls(closed=False)))
async def test_routes_that_other_systems_call_accept_their_parameters(
    client: httpx2.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, f"{path}?session_state=x")
    assert "query.session_state" not in answer.text


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("q=jazz", []),
        ("q=jazz&from=2030-01-01T00:00:00Z", []),
        ("Q=jazz", ["query.Q"]),
        ("starts_from=2030-01-01T00:00:00Z", ["query.starts_from"]),
        ("q=jazz&q=rock", ["query.q"]),
        ("dry_run", ["query.dry_run"]),
        ("dry_run=", ["query.dry_run"]),
        ("a=1&b=2&a=3", ["query.a", "query.b", "query.a"]),
        ("=1", ["query."]),
        ("&".join(f"x{number}=1" for number in range(50)), [f"query.x{number}" for number in range(20)]),
    ],
)
async def test_names_count_as_they_are_written_and_values_may_come_once(
    client: httpx2.AsyncClient, query: str, refused: list[str]
) -> None:
    answer = await client.get(f"/v1/search?{query}")
    errors = answer.json().get("errors", []) if answer.status_code == 422 else []
    assert [error["field"] for error in errors] == refused
