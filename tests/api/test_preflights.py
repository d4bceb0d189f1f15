"""A refused CORS preflight is answered with problem details that name what is not allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from api.app import create_app
from config.settings import Settings
from tests.api.people import problem

ORIGIN, METHOD, HEADERS = "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"
ASKED = {ORIGIN: "https://shop.example", METHOD: "POST", HEADERS: "authorization"}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(Settings(mode="development", cors_origins="https://shop.example"))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api") as opened:
        yield opened


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({ORIGIN: "https://evil.example"}, [ORIGIN]),
        ({METHOD: "TRACE"}, [METHOD]),
        ({HEADERS: "authorization, x-evil"}, [HEADERS]),
        ({"Access-Control-Request-Private-Network": "true"}, ["Access-Control-Request-Private-Network"]),
        ({ORIGIN: "null", METHOD: "TRACE", HEADERS: "x-evil"}, [ORIGIN, METHOD, HEADERS]),
    ],
)
async def test_a_refused_preflight_names_what_is_not_allowed(
    client: httpx2.AsyncClient, wrong: dict[str, str], fields: list[str]
) -> None:
    answer = await client.options("/v1/bookings", headers=ASKED | wrong)
    assert (answer.status_code, problem(answer)) == (400, "invalid-request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert (ORIGIN in wrong) == ("access-control-allow-origin" not in answer.headers)
    assert answer.headers["vary"].startswith("Origin")


async def test_an_allowed_preflight_is_answered_as_before(client: httpx2.AsyncClient) -> None:
    answer = await client.options("/v1/bookings", headers=ASKED)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    assert "POST" in answer.headers["access-control-allow-methods"]


async def test_an_options_call_that_is_no_preflight_goes_to_its_route(client: httpx2.AsyncClient) -> None:
    answer = await client.options("/v1/bookings", headers={ORIGIN: "https://evil.example"})
    assert (answer.status_code, problem(answer)) == (405, "method-not-allowed")
