"""Function-level authorization: every route by every kind of caller, tried against the running API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from api.auth.tokens import AccessTokens, Principal
from config.settings import Settings, secret
from domain.identity import Role, Scope
from tests.api.people import problem
from tests.http_client import http_client
from tests.security.permissions import COLUMNS, Route, application, render, routes
from tests.tokens import access_tokens

ROUTES = sorted(routes(application()))
PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
ENDLESS = "/stream"  # of another's booking it is 404 all the same


def names(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_route_declares_who_may_call_it() -> None:
    assert [names(route) for route in ROUTES if not route.rules] == []


def test_the_page_of_permissions_matches_the_application() -> None:
    assert PAGE.read_text() == render(application()), "python -m tests.security.permissions > docs/permissions.md"


def test_powerful_routes_are_for_few_roles() -> None:
    """By hand, so that a slip in a declaration is not simply written down."""
    table = {names(route): {column for column in COLUMNS if route.admits(column)} for route in ROUTES}
    assert table["PUT /v1/users/{user_id}/roles"] == {"operator"}
    assert table["GET /v1/bookings/{booking_id}/timeline"] == {"support", "operator"}
    for route in ("POST /v1/support/people", "GET /v1/support/bookings", "GET /v1/support/payments"):
        assert table[route] == {"support", "operator"}
    assert table["POST /v1/codec/decode"] == {"support", "operator"}
    assert table["POST /v1/events"] == {"organizer"}
    assert table["POST /v1/events/{event_id}/publish"] == {"organizer", "operator"}
    assert table["POST /v1/events/{event_id}/cancel"] == {"organizer", "operator"}
    assert table["POST /v1/teams"] == {"organizer"}
    internal = {name for name in table if " /internal/" in name}
    assert len(internal) == 7
    assert all(table[name] == {"our processes"} for name in internal)
    public = {name for name, admitted in table.items() if "anonymous" in admitted}
    assert not {name for name in public if name.startswith(("PUT", "PATCH", "DELETE"))}
    assert {name for name in public if name.startswith("POST")} == {
        "POST /v1/users",
        "POST /v1/sessions",
        "POST /v1/sessions/second-factor",
        "POST /v1/email-verifications",
        "POST /v1/password-resets",
        "POST /v1/password-resets/confirm",
        "POST /v1/oauth/token",
        "POST /v1/oauth/revoke",
        "POST /v1/oauth/introspect",
        "POST /v1/oauth/authorize",
        "POST /v1/webhooks/{provider}",
        "POST /v1/bookings/{booking_id}/payment/return",
        "POST /v1/bookings/{booking_id}/exchanges/{exchange_id}/return",
    }


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """At the internal port, which serves the internal routes besides all others."""
    async with http_client(settings.identity_address) as opened:
        yield opened


@pytest.fixture(scope="module")
def tokens(settings: Settings) -> AccessTokens:
    return access_tokens(settings)


@pytest.mark.parametrize("route", ROUTES, ids=names)
async def test_a_route_admits_the_callers_that_it_declares_and_no_others(
    settings: Settings, client: httpx2.AsyncClient, tokens: AccessTokens, route: Route
) -> None:
    for column in COLUMNS:
        answer = await call(client, route, authorization(settings, tokens, column))
        if route.admits(column):
            assert answer.status_code != 401 or "anonymous" in route_kinds(route), column
            assert answer.status_code != 403, column
        else:
            refused = 401 if column in ("anonymous", "our processes") or route.admits("our processes") else 403
            assert (answer.status_code, column) == (refused, column)
            problem(answer)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scopes is not None], ids=names)
async def test_a_third_party_token_works_for_its_scopes_only(
    client: httpx2.AsyncClient, tokens: AccessTokens, route: Route
) -> None:
    if route.admits("our processes"):
        return
    for scope in set(Scope) - {Scope.FIRST_PARTY}:
        partner = Principal(uuid4(), frozenset(Role), scopes=frozenset({scope}), client_id=uuid4())
        answer = await call(client, route, f"Bearer {tokens.issue(partner)}")
        assert (answer.status_code == 403) is (scope not in (route.scopes or ())), scope
        if answer.status_code == 403:
            assert answer.json()["error"] == "insufficient_scope"


def authorization(settings: Settings, tokens: AccessTokens, column: str) -> str | None:
    if column == "anonymous":
        return None
    if column == "our processes":
        return f"Bearer {secret(settings.internal_token)}"
    return f"Bearer {tokens.issue(Principal(uuid4(), frozenset({Role(column)})))}"


async def call(client: httpx2.AsyncClient, route: Route, authorization: str | None) -> httpx2.Response:
    """Ask for something that is not there, with a body that says nothing."""
    path = re.sub(r"\{\w+_id\}", str(uuid4()), route.path).replace("{provider}", "nobody")
    headers = {"Authorization": authorization} if authorization else {}
    body: dict[str, str] | None = None if route.method in ("GET", "DELETE", "HEAD") else {}
    return await client.request(route.method, path, headers=headers, json=body)


def route_kinds(route: Route) -> set[str]:
    return {column for column in COLUMNS if route.admits(column)}
