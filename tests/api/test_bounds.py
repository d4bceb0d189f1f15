"""A body is bounded by its route and its caller before it is scanned, and scanned before it is parsed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from joserfc.jwk import OKPKey

from api.app import create_app
from api.auth.tokens import AccessTokens, KeyRing, Principal
from api.edge.bounds import Bounds, json_refused
from api.edge.json_body import parsed
from config.settings import Settings
from domain.identity import Role
from tests.api.people import problem
from tests.waiting import eventually

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
KIB = 1024
CARD = "4242424242424242"


class Door(NamedTuple):
    """The application, and what issues its tokens."""

    http: httpx2.AsyncClient
    tokens: AccessTokens
    app: FastAPI

    def from_address(self, address: str) -> httpx2.AsyncClient:
        """A client with another address."""
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1))
        return httpx2.AsyncClient(transport=transport, base_url="http://api")

    def headers(self, role: str | None, kind: str = JSON) -> dict[str, str]:
        """Of a caller with this role; None for one without a log-in."""
        if role is None:
            return {"Content-Type": kind}
        token = self.tokens.issue(Principal(uuid4(), frozenset({Role(role)})))
        return {"Content-Type": kind, "Authorization": f"Bearer {token}"}


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """The application without any server: what it refuses needs none."""
    app = create_app(Settings(mode="development"))
    key = OKPKey.generate_key("Ed25519", {"kid": "test"})
    public = {"kid": "test", **key.as_dict(private=False)}
    app.state.tokens.ring = KeyRing((public,), key)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as opened:
        yield Door(opened, app.state.tokens, app)


SIZES = [
    ("GET", "/livez", None, 1),
    ("POST", "/v1/sessions", None, 16),
    ("POST", "/v1/codec/decode", None, 16),
    ("POST", "/v1/bookings", None, 16),
    ("PATCH", "/v1/me", "customer", 64),
    ("POST", "/v1/bookings", "customer", 32),
    ("POST", "/v1/codec/decode", "customer", 64),
    ("POST", "/v1/codec/decode", "support", 1024),
    ("POST", "/v1/webhooks/stripe", None, 512),
]


@pytest.mark.parametrize(("method", "path", "role", "kib"), SIZES)
async def test_the_size_of_a_body_is_bounded_by_route_and_by_caller(
    door: Door, method: str, path: str, role: str | None, kib: int
) -> None:
    given = door.headers(role)
    allowed = await door.http.request(method, path, content=b" " * kib * KIB, headers=given)
    assert allowed.status_code != 413
    refused = await door.http.request(method, path, content=b" " * (kib * KIB + 1), headers=given)
    assert (refused.status_code, problem(refused)) == (413, "body-too-large")
    assert str(kib * KIB) in refused.json()["detail"]


async def test_long_bodies_without_a_log_in_have_a_bound_together(door: Door) -> None:
    arrived, may_end = 0, asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        nonlocal arrived
        yield b" " * 508 * KIB
        arrived += 1
        await may_end.wait()
        yield b" "

    async def send(kib: int, role: str | None = None, caller: httpx2.AsyncClient = door.http) -> str:
        path, given = "/v1/profile" if role else "/v1/webhooks/none", door.headers(role)
        return problem(await caller.post(path, content=b" " * kib * KIB, headers=given))

    others = [door.from_address(f"203.0.113.{number}") for number in range(8)]
    slow = [asyncio.create_task(each.post("/v1/webhooks/none", content=slowly())) for each in others for _ in range(8)]
    await eventually(lambda: arrived == len(slow))
    assert await send(200, caller=others[0]) == "unavailable", "it has its share"
    assert await send(200) == "not-found", "another address finds room"
    assert await send(300) == "unavailable", "until too little is left"
    assert await send(16) == "not-found", "what is short needs no room"
    assert await send(64, "customer") == "not-found", "nor does a caller who is known"
    may_end.set()
    assert {problem(answer) for answer in await asyncio.gather(*slow)} == {"not-found"}
    assert await send(300) == "not-found"


async def test_a_forged_token_gives_no_larger_body(door: Door) -> None:
    forged = door.headers("support") | {"Authorization": "Bearer e30.e30.e30"}
    answer = await door.http.post("/v1/codec/decode", content=b" " * 17 * KIB, headers=forged)
    assert answer.status_code == 413


def nested(levels: int, inside: str = "1") -> str:
    return "[" * levels + inside + "]" * levels


def objects(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


REFUSED = {
    "17 arrays": (nested(17), JSON, None, "body"),
    "17 objects": (objects(17), JSON, "customer", "body"),
    "950 arrays around a list of numbers": (nested(950, ",".join("1" * 4000)), JSON, None, "body"),
    "950 arrays in UTF-16": (nested(950).encode("utf-16"), JSON, None, "body"),
    "deeper than any parser goes": ("[" * 15_000 + CARD, JSON, None, "body"),
    "201 values": ("[" + ",".join("1" * 200) + "]", JSON, None, "body"),
    "2001 values of a person": ("[" + ",".join("1" * 2000) + "]", JSON, "customer", "body"),
    "201 names": ("{" + ",".join(f'"{n}":1' for n in range(200)) + "}", JSON, None, "body"),
    "101 fields of a form": ("&".join("a" * 101), FORM, None, "body"),
}


@pytest.mark.parametrize(("body", "kind", "role", "field"), REFUSED.values(), ids=REFUSED)
async def test_depth_and_number_of_values_are_bounded(
    door: Door, body: str | bytes, kind: str, role: str | None, field: str
) -> None:
    answer = await door.http.post("/v1/oauth/token", content=body, headers=door.headers(role, kind))
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert answer.json()["errors"][0]["field"] == field


ALLOWED = [nested(16), objects(16), "[" + ",".join("1" * 199) + "]", "1", '"a"', "null", "", "{", "[" * 16]


@pytest.mark.parametrize("body", ALLOWED)
def test_what_is_within_the_bounds_passes(body: str) -> None:
    assert json_refused(parsed(body.encode()), Bounds(size=10**6)) is None


TARGETS = [
    ("/v1/search?q=" + "a" * 8 * KIB, "path"),
    ("/v1/" + "a" * 8 * KIB, "path"),
    ("/v1/search?" + "&".join("a" * 101), "query"),
    ("/livez?a=" + "a" * KIB, "path"),
    ("/readyz?a=" + "a" * KIB, "path"),
    ("/v1/webhooks/stripe?a=" + "a" * KIB, "path"),
]


@pytest.mark.parametrize(("target", "field"), TARGETS)
async def test_an_address_is_bounded(door: Door, target: str, field: str) -> None:
    answer = await door.http.get(target)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert answer.json()["errors"][0]["field"] == field


HIDDEN = {
    "between escaped line breaks": ('{"a": "4242\\n4242\\n4242\\n4242"}', JSON, "body.a"),
    "between escaped tabs": ('{"a": ["b", "4242\\t4242\\t4242\\t4242"]}', JSON, "body.a.1"),
    "between escaped hyphens of a form": ("a=4242%2D4242%2D4242%2D4242", FORM, "body.a"),
    "in a name": (f'{{"a": {{"{CARD}": 1}}}}', JSON, "body.a"),
    "at the deepest level": (nested(16, CARD), JSON, "body" + ".0" * 16),
    "a number": (f'{{"a": [{{"b": {CARD}}}]}}', JSON, "body.a.0.b"),
    "behind many texts": ('{"a": [' + '"b",' * 150 + f'"{CARD}"]}}', JSON, "body.a.150"),
    "no JSON": (f"<card>{CARD}</card>", "text/xml", "body"),
    "in a long text": ('{"a": "' + "4 x" * 4000 + CARD + '"}', JSON, "body.a"),
}


@pytest.mark.parametrize(("body", "kind", "field"), HIDDEN.values(), ids=HIDDEN)
async def test_a_card_number_is_found_wherever_it_is(door: Door, body: str, kind: str, field: str) -> None:
    answer = await door.http.post("/v1/oauth/token", content=body.encode(), headers=door.headers(None, kind))
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert answer.json()["errors"][0] == {
        "field": field, "message": "looks like a payment card number; never send one to this API",
    }  # fmt: skip
    assert CARD not in answer.text


async def test_a_card_number_in_an_overlong_header_is_no_reason_to_read_it(door: Door) -> None:
    began = time.process_time()
    answer = await door.http.get("/livez", headers={"X-Request-Id": "4 " * 5000, "Idempotency-Key": "4 " * 5000})
    assert (answer.status_code, answer.headers["x-request-id"].startswith("4")) == (200, False)
    assert time.process_time() - began < 1
