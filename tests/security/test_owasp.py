"""The OWASP API Security Top 10 (2023): its index, and what the tests of tokens, owners and permissions leave over."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from config.settings import Settings
from tests.api.conftest import Join
from tests.api.partners import register
from tests.api.people import problem
from tests.pace import take_alike_long
from tests.security.owasp import SHOWN

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("item", SHOWN)
def test_each_item_of_the_top_ten_is_shown_by_tests_that_exist(item: str) -> None:
    assert SHOWN[item]
    for where in SHOWN[item]:
        file, _, test = where.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), where


# API3: broken object property level authorization


SOME_ID = "0190b6f0-0000-7000-8000-000000000000"
PASSWORD = "correct horse battery"
PRICELESS: list[tuple[str, str, dict[str, Any] | None, dict[str, Any]]] = [
    ("POST", "/v1/users", {"email": "a@example.test", "password": PASSWORD, "name": "A"}, {"roles": ["operator"]}),
    ("POST", "/v1/users", {"email": "a@example.test", "password": PASSWORD, "name": "A"}, {"id": SOME_ID}),
    ("PATCH", "/v1/me", {"name": "A"}, {"roles": ["operator"]}),
    ("PATCH", "/v1/me", {"name": "A"}, {"id": SOME_ID}),
    ("PATCH", "/v1/me", {"name": "A"}, {"email": "victim@example.test"}),
    ("PATCH", "/v1/me", {"name": "A"}, {"email_verified": True}),
    ("POST", "/v1/sessions", {"email": "a@example.test", "password": PASSWORD}, {"user_id": SOME_ID}),
    ("POST", "/v1/bookings", {"event_id": SOME_ID, "seats": ["A-1-1"]}, {"price": 1}),
    ("POST", "/v1/bookings", {"event_id": SOME_ID, "seats": ["A-1-1"]}, {"amount": 1}),
    ("POST", "/v1/bookings", {"event_id": SOME_ID, "seats": ["A-1-1"]}, {"status": "confirmed"}),
    ("POST", "/v1/bookings", {"event_id": SOME_ID, "seats": ["A-1-1"]}, {"user_id": SOME_ID}),
    (
        "POST",
        f"/v1/bookings/{SOME_ID}/payment",
        {"provider": "stripe", "payment_method": "pm_card_visa"},
        {"amount": 1},
    ),
    (
        "POST",
        f"/v1/bookings/{SOME_ID}/payment",
        {"provider": "stripe", "payment_method": "pm_card_visa"},
        {"status": "confirmed"},
    ),
    ("POST", "/v1/events", None, {"organizer_id": SOME_ID}),
    ("POST", "/v1/events", None, {"status": "published"}),
    ("POST", "/v1/events", None, {"version": 7}),
    ("POST", "/v1/teams", {"name": "T"}, {"id": SOME_ID}),
    ("POST", "/v1/teams", {"name": "T"}, {"members": []}),
    ("PUT", f"/v1/teams/{SOME_ID}/members/{SOME_ID}", {"role": "staff"}, {"user_id": SOME_ID}),
]


async def test_a_body_cannot_set_fields_that_are_not_the_callers(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    person, wrong = await join("organizer"), []
    before = (await client.get("/v1/me", headers=person.headers)).json()
    assert before["roles"] == ["customer", "organizer"]
    for method, path, body, more in PRICELESS:
        headers = person.headers | {"Idempotency-Key": str(uuid4())}
        answer = await client.request(method, path, json=(body or new_event) | more, headers=headers)
        fields = [error["field"] for error in answer.json().get("errors", [])]
        if answer.status_code != 422 or problem(answer) != "invalid-request" or fields != [f"body.{n}" for n in more]:
            wrong.append(f"{method} {path} with {more}: {answer.status_code} {answer.text}")
        if (await client.get("/v1/me", headers=person.headers)).json() != before:
            wrong.append(f"{method} {path} with {more} has changed the caller")
    assert not wrong, "\n".join(wrong)


async def test_an_event_cannot_be_given_to_a_team_of_others(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    owner, other = await join("organizer"), await join("organizer")
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    for team_id in (team, str(uuid4())):
        answer = await client.post("/v1/events", json=new_event | {"team_id": team_id}, headers=other.headers)
        assert (problem(answer), answer.json()["errors"][0]["field"]) == ("invalid-request", "body.team_id")


# API2: enumeration; who knows one answer or one time learns nothing from the other


async def test_a_clients_page_does_not_reveal_accounts_by_its_answer_or_its_duration(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    person, partner = await join(), await register(settings, client)
    asked = partner.request("v" * 43) | {"decision": "allow", "password": "not the password"}
    pages = set()

    async def tries(email: str) -> None:
        answer = await client.post("/v1/oauth/authorize", data=asked | {"email": email})
        pages.add((answer.status_code, answer.text))

    await take_alike_long(lambda: tries(person.email), lambda: tries(f"{uuid4()}@example.test"))
    assert len(pages) == 1


# API7: server side request forgery


@pytest.fixture
async def bait() -> AsyncIterator[tuple[str, list[bytes]]]:
    """An address, and what has come to it."""
    came: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bait", came


async def test_no_address_that_a_caller_names_is_ever_fetched(
    settings: Settings,
    client: httpx2.AsyncClient,
    join: Join,
    new_event: dict[str, Any],
    bait: tuple[str, list[bytes]],
) -> None:
    url, came = bait
    person, partner = await join("organizer"), await register(settings, client)
    _, payload, tail = person.access_token.split(".")
    forged = [f"{_encoded({'alg': 'EdDSA', 'kid': url, name: url})}.{payload}.{tail}" for name in ("jku", "x5u", "jwk")]
    for token in forged:
        assert (await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
    headers = person.headers | {"X-Forwarded-Host": url, "Referer": url, "Origin": url, "Idempotency-Key": str(uuid4())}
    venue = new_event["venue"] | {"name": url, "city": url}
    drafted = await client.post("/v1/events", json=new_event | {"name": url, "venue": venue}, headers=headers)
    assert drafted.status_code == 201
    await client.post(f"/v1/events/{drafted.json()['id']}/publish", headers=headers)
    await client.patch("/v1/me", json={"name": url}, headers=headers)
    await client.get("/v1/search", params={"q": url})
    for name in ("request_uri", "redirect_uri", "client_id", "jwks_uri", "logo_uri", "sector_identifier_uri"):
        await client.get("/v1/oauth/authorize", params=partner.request("v" * 43) | {name: url})
        await partner.post("token", grant_type="client_credentials", **{name: url})
    assertion = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
    await partner.post("token", grant_type="client_credentials", client_assertion=forged[0], **assertion)
    await client.get(f"/v1/log-in/{url.replace('/', '%2F')}")
    assert came == []


async def test_no_body_has_a_field_for_an_address(client: httpx2.AsyncClient) -> None:
    """So that a later one is thought about: it would have to be added here."""
    schema = (await client.get("/openapi.json")).json()
    bodies = [
        operation["requestBody"]
        for path in schema["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    named = {found for body in bodies for found in re.findall(r"schemas/(\w+)", str(body))}
    fields = {field for one in named for field in schema["components"]["schemas"][one].get("properties", {})}
    assert not {field for field in fields if re.search(r"(^|_)(ur[il]|href|link|callback|webhook)", field)} - {
        "link_token"
    }


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
