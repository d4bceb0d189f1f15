"""A query parameter that a call does not have is refused on every route, since its sender expects something of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from api.app import create_app
from config.settings import Settings

SETTINGS = Settings(mode="development")
APP = create_app(SETTINGS)
# The internal port answers all calls, internal ones included.
CLIENT = TestClient(APP, f"http://testserver:{SETTINGS.internal_port}", raise_server_exceptions=False)
ID = "0190b6f0-0000-7000-8000-000000000000"
OPEN = {
    "/v1/oauth/authorize",
    "/v1/log-in/{provider}/back",
    "/v1/bookings/{booking_id}/payment/return",
    "/v1/bookings/{booking_id}/exchanges/{exchange_id}/return",
    "/v1/webhooks/{provider}",
}
"""Other systems call these, with parameters of their own."""


def calls(*, closed: bool) -> Iterator[tuple[str, str]]:
    for context in iter_route_contexts(APP.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and (route.path not in OPEN) is closed:
            path = re.sub(r"\{\w+\}", ID, route.path)
            yield from ((method, path) for method in sorted(route.methods or ()))


@pytest.mark.parametrize(("method", "path"), list(calls(closed=True)))
def test_an_unknown_query_parameter_is_refused_by_its_name(method: str, path: str) -> None:
    answer = CLIENT.request(method, f"{path}?try_only=true")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "query.try_only", "message": "is not a parameter of this call"}]


@pytest.mark.parametrize(("method", "path"), list(calls(closed=False)))
def test_routes_that_other_systems_call_accept_their_parameters(method: str, path: str) -> None:
    answer = CLIENT.request(method, f"{path}?session_state=x")
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
def test_names_count_as_they_are_written_and_values_may_come_once(query: str, refused: list[str]) -> None:
    answer = CLIENT.get(f"/v1/search?{query}")
    errors = answer.json().get("errors", []) if answer.status_code == 422 else []
    assert [error["field"] for error in errors] == refused
