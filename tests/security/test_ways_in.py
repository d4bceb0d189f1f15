"""Every way in asks for all that there is to prove, and what ends a person's log-ins ends what they granted, too."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable

import httpx2
import psycopg
import pytest

from config.settings import Settings
from tests.api.conftest import Join
from tests.api.partners import PAGE, Partner, allow, bearer, log_in_for, register, told
from tests.api.people import Person
from tests.api.test_second_factor import enrol
from tests.scale import FULL
from tests.waiting import eventually

_CHALLENGE = re.compile(r'name="challenge" value="([^"]+)"')


@pytest.fixture
async def partner(settings: Settings, client: httpx2.AsyncClient) -> Partner:
    return await register(settings, client)


async def asked_for_a_code(client: httpx2.AsyncClient, person: Person, asked: dict[str, str]) -> str:
    """The challenge on the page that asks for the second factor."""
    page = await client.post(PAGE, data=asked | {"email": person.email, "password": person.password})
    assert page.status_code == 200, "back to the client by the password alone"
    assert "one-time-code" in page.text
    assert 'name="password"' not in page.text
    return str(_CHALLENGE.findall(page.text)[0])


async def test_an_application_gets_no_grant_by_the_password_alone_of_a_two_factor_account(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, verifier = await join(), secrets.token_urlsafe(40)
    authenticator, codes = await enrol(client, person)
    asked = partner.request(verifier) | {"decision": "allow"}
    challenge = await asked_for_a_code(client, person, asked)
    for wrong in ("", "000000x", authenticator.code(9)):
        page = await client.post(PAGE, data=asked | {"challenge": challenge, "second_factor": wrong})
        assert page.status_code == 401
        assert _CHALLENGE.findall(page.text) == [challenge], "another try"
    page = await client.post(PAGE, data=asked | {"challenge": challenge, "second_factor": codes[0]})
    back = told(await allow(client, page, asked))
    assert (await partner.exchange(back["code"], verifier)).status_code == 200
    again = await client.post(PAGE, data=asked | {"challenge": challenge, "second_factor": codes[1]})
    assert again.status_code == 401, "the challenge was good once"
    assert 'name="password"' in again.text, "from the beginning"


async def test_the_page_takes_five_codes_for_a_password_and_no_more(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person = await join()
    _, codes = await enrol(client, person)
    asked = partner.request("v" * 43) | {"decision": "allow"}
    challenge = await asked_for_a_code(client, person, asked)
    for code in (*["wrong"] * 5, codes[0]):
        page = await client.post(PAGE, data=asked | {"challenge": challenge, "second_factor": code})
        assert page.status_code == 401


async def changed_password(client: httpx2.AsyncClient, person: Person) -> httpx2.Response:
    body = {"old_password": person.password, "password": "another battery staple"}
    return await client.put("/v1/me/password", json=body, headers=person.headers)


async def logged_out_everywhere(client: httpx2.AsyncClient, person: Person) -> httpx2.Response:
    return await client.delete("/v1/me/sessions", headers=person.headers)


async def erased(client: httpx2.AsyncClient, person: Person) -> httpx2.Response:
    return await client.request("DELETE", "/v1/me", json={"password": person.password}, headers=person.headers)


@pytest.mark.parametrize("end", [changed_password, logged_out_everywhere, erased])
async def test_ending_all_sessions_ends_all_grants_to_applications(
    client: httpx2.AsyncClient,
    join: Join,
    partner: Partner,
    end: Callable[[httpx2.AsyncClient, Person], Awaitable[httpx2.Response]],
) -> None:
    person, verifier = await join(), secrets.token_urlsafe(40)
    tokens = await partner.tokens_of(person)
    unused = (await partner.ask(person, verifier))["code"]
    assert (await end(client, person)).status_code == 204
    assert (await partner.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await partner.exchange(unused, verifier)).json()["error"] == "invalid_grant"

    async def refused() -> bool:
        return (await client.get("/v1/me/bookings", headers=bearer(tokens))).status_code == 401

    await eventually(refused, within=5)


async def test_an_erased_person_has_left_nothing_outside_the_audit_log(
    client: httpx2.AsyncClient, join: Join, partner: Partner, superuser: psycopg.Connection
) -> None:
    person = await join("organizer")
    await partner.tokens_of(person)
    assert (await log_in_for(client, person, partner.request("v" * 43, prompt="consent"))).status_code == 200
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=person.headers)).json()["id"]
    assert (await erased(client, person)).status_code == 204
    for table in (
        "refresh_families", "authorization_codes", "consents", "pending_consents", "outside_accounts", "team_members",
    ):  # fmt: skip
        left = superuser.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s", [person.id]).fetchall()
        assert left == [(0,)], table
    query = "SELECT action FROM audit_log WHERE actor = %s AND object = ANY(%s) ORDER BY number"
    noted = superuser.execute(query, [f"user/{person.id}", [f"client/{partner.id}", f"team/{team}"]]).fetchall()
    assert noted == [("client.allowed",), ("team.made",)]


async def test_a_refresh_during_a_log_out_everywhere_is_refused_and_never_an_error(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    for _ in range(3 if FULL else 1):
        person = await join()
        tokens = await partner.tokens_of(person)
        form = {"grant_type": "refresh_token", "refresh_token": person.refresh_token}
        *refreshed, ended = await asyncio.gather(
            client.post("/v1/oauth/token", data=form),
            partner.refresh(tokens["refresh_token"]),
            logged_out_everywhere(client, person),
        )
        assert ended.status_code == 204
        assert {answer.status_code for answer in refreshed} <= {200, 400}
