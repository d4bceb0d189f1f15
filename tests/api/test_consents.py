"""The page remembers what a person has allowed a client, and asks again for more, or if the client wants it."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from config.settings import Settings
from db.engine import open_engine
from db.identity import clients
from domain.identity import Scope
from tests.api.conftest import Join
from tests.api.partners import PAGE, Partner, allow, bearer, consent_on, log_in_for, register, told
from tests.api.people import Person, problem
from tests.scale import sample
from tests.waiting import eventually

VERIFIER = "v" * 43


def age_page(superuser: psycopg.Connection, partner: Partner, age: str) -> None:
    """Let the client's page of the decision wait for so long."""
    aged = "UPDATE pending_consents SET logged_in_at = logged_in_at - %s::interval WHERE client_id = %s"
    superuser.execute(aged, [age, partner.id])


@pytest.fixture
async def partner(settings: Settings, client: httpx2.AsyncClient) -> Partner:
    return await register(settings, client)


async def consents(client: httpx2.AsyncClient, person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/v1/me/consents", headers=person.headers)).json()["consents"]
    return found


async def asks(partner: Partner, person: Person, **other: str | None) -> bool:
    """Whether the person is asked after the log-in; False if the log-in leads back to the client with a code."""
    answer = await log_in_for(partner.http, person, partner.request(VERIFIER, **other))
    if answer.status_code == 302:
        assert told(answer)["code"]
        return False
    return bool(consent_on(answer))


@pytest.mark.parametrize("spelling", ["{}", "urn:uuid:{{{}}}"])
async def test_the_audit_log_names_the_client_by_its_id_however_the_request_spells_it(
    join: Join, partner: Partner, superuser: psycopg.Connection, spelling: str
) -> None:
    person, spelled = await join(), spelling.format(partner.id).upper().replace("URN:UUID", "urn:uuid")
    for _ in range(2):
        await partner.ask(person, VERIFIER, client_id=spelled)
    query = "SELECT action, object FROM audit_log WHERE actor = %s AND action LIKE 'client.%%' ORDER BY number"
    noted = superuser.execute(query, [f"user/{person.id}"]).fetchall()
    assert noted == [(action, f"client/{partner.id}") for action in ("client.allowed", "client.entered")]


async def test_a_person_is_asked_once_and_then_logs_in_alone(join: Join, partner: Partner) -> None:
    person, other = await join(), await join()
    assert await asks(partner, person)
    assert await asks(partner, person), "to read the page allows nothing"
    await partner.tokens_of(person)
    assert not await asks(partner, person)
    assert await asks(partner, other)


WANTED: list[tuple[dict[str, str], bool]] = [
    ({}, False),
    ({"scope": "openid"}, False),
    ({"scope": "openid email"}, True),
    ({"scope": "openid profile email bookings:read"}, True),
    ({"prompt": "consent"}, True),
    ({"prompt": "login consent"}, True),
    ({"prompt": "login"}, False),
]


async def test_the_page_asks_again_for_new_scopes_or_if_the_client_wants_it(join: Join, partner: Partner) -> None:
    person = await join()
    await partner.tokens_of(person, scope="openid profile")
    for wanted, is_asked in WANTED:
        assert await asks(partner, person, **{"scope": "openid profile"} | wanted) is is_asked, wanted


async def test_a_request_for_no_scope_at_all_is_refused(join: Join, partner: Partner) -> None:
    person = await join()
    for scope in (" ", "   "):
        answer = await log_in_for(partner.http, person, partner.request(VERIFIER, scope=scope))
        assert told(answer)["error"] == "invalid_scope"


@pytest.mark.parametrize("scopes", sample([set[Scope](), {Scope.OPENID}], 1, of="few scopes"))
async def test_a_person_is_asked_first_even_by_a_client_without_scopes(
    settings: Settings, client: httpx2.AsyncClient, join: Join, scopes: set[Scope]
) -> None:
    person, app = await join(), await register(settings, client, scopes=scopes)
    assert await asks(app, person, scope=None)
    await app.tokens_of(person, scope=None)
    assert not await asks(app, person, scope=None)


async def test_what_is_allowed_later_comes_on_top(client: httpx2.AsyncClient, join: Join, partner: Partner) -> None:
    person = await join()
    for scope in ("openid profile", "bookings:read"):
        await partner.tokens_of(person, scope=scope)
    assert not await asks(partner, person, scope="openid bookings:read")
    [consent] = await consents(client, person)
    assert consent["scopes"] == ["bookings:read", "openid", "profile"]
    assert (consent["client_id"], consent["client"]) == (str(partner.id), "A <b>partner</b>")


@pytest.mark.parametrize("redirect_uri", sample(["com.example.app:/back", "http://127.0.0.1/back"], 1, of="apps"))
async def test_an_app_that_another_can_pretend_to_be_asks_each_time(
    settings: Settings, client: httpx2.AsyncClient, join: Join, redirect_uri: str
) -> None:
    person, where = await join(), {"redirect_uri": redirect_uri}
    for is_public, is_asked in ((True, True), (False, False)):
        app = await register(settings, client, is_public=is_public, redirect_uri=redirect_uri)
        asked = app.request(VERIFIER, **where)
        page = await log_in_for(client, person, asked)
        assert ("remembers what you allow" in page.text) is not is_asked
        assert (await allow(client, page, asked)).status_code == 302
        again = await log_in_for(client, person, asked)
        assert (again.status_code == 200) is is_asked
        remembered = {each["client_id"] for each in await consents(client, person)}
        assert (str(app.id) in remembered) is not is_asked


async def test_a_public_client_on_the_web_is_remembered(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    person, app = await join(), await register(settings, client, is_public=True)
    await app.tokens_of(person)
    assert not await asks(app, person)


async def withdrawn(client: httpx2.AsyncClient, person: Person, partner: Partner) -> httpx2.Response:
    return await client.delete(f"/v1/me/consents/{partner.id}", headers=person.headers)


async def grant_ended(client: httpx2.AsyncClient, person: Person, partner: Partner) -> httpx2.Response:
    [grant] = (await client.get("/v1/me/grants", headers=person.headers)).json()["grants"]
    return await client.delete(f"/v1/me/grants/{grant['id']}", headers=person.headers)


async def logged_out(client: httpx2.AsyncClient, person: Person, partner: Partner) -> httpx2.Response:
    return await client.delete("/v1/me/sessions", headers=person.headers)


@pytest.mark.parametrize("end", sample([withdrawn, grant_ended, logged_out], 1, of="ends of a client's access"))
async def test_a_client_asks_again_after_its_person_has_ended_its_access(
    client: httpx2.AsyncClient, join: Join, partner: Partner, end: Callable[..., Awaitable[httpx2.Response]]
) -> None:
    person = await join()
    tokens = await partner.tokens_of(person)
    assert await status(client, tokens) == 200
    assert (await end(client, person, partner)).status_code == 204
    assert (await partner.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await asks(partner, person)

    async def refused() -> bool:
        return await status(client, tokens) == 401

    await eventually(refused, within=5)


async def status(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> int:
    return (await client.get("/v1/me/bookings", headers=bearer(tokens))).status_code


async def test_a_client_that_ends_its_own_token_need_not_ask_again(join: Join, partner: Partner) -> None:
    person = await join()
    tokens = await partner.tokens_of(person)
    assert (await partner.post("revoke", token=tokens["refresh_token"])).status_code == 200
    assert not await asks(partner, person)


async def test_a_person_withdraws_what_one_client_may_do_and_others_go_on(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, stranger, kept = await join(), await join(), await register(settings, client)
    tokens, gone = await kept.tokens_of(person), await partner.tokens_of(person)
    unused = (await partner.ask(person, VERIFIER))["code"]
    assert [each["client_id"] for each in await consents(client, person)] == [str(partner.id), str(kept.id)]
    assert await consents(client, stranger) == []
    path = f"/v1/me/consents/{partner.id}"
    assert problem(await client.delete(path, headers=stranger.headers)) == "not-found"
    assert problem(await client.delete(f"/v1/me/consents/{uuid4()}", headers=person.headers)) == "not-found"
    assert problem(await client.delete(path, headers=bearer(tokens))) == "forbidden", "applications may not"
    assert (await client.delete(path, headers=person.headers)).status_code == 204
    assert problem(await client.delete(path, headers=person.headers)) == "not-found"
    assert [each["client_id"] for each in await consents(client, person)] == [str(kept.id)]
    assert (await partner.refresh(gone["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await partner.exchange(unused, VERIFIER)).json()["error"] == "invalid_grant"
    assert (await kept.refresh(tokens["refresh_token"])).status_code == 200


async def a_page_waits(partner: Partner, person: Person) -> None:
    await log_in_for(partner.http, person, partner.request(VERIFIER))


async def a_code_is_unused(partner: Partner, person: Person) -> None:
    await partner.ask(person, VERIFIER)


async def a_grant_goes_on(partner: Partner, person: Person) -> None:
    await partner.tokens_of(person)


@pytest.mark.parametrize("left", sample([a_page_waits, a_code_is_unused, a_grant_goes_on], 1, of="what is left"))
async def test_an_application_that_has_only_a_part_of_its_access_left_loses_it(
    client: httpx2.AsyncClient,
    join: Join,
    partner: Partner,
    superuser: psycopg.Connection,
    left: Callable[[Partner, Person], Awaitable[None]],
) -> None:
    person, stranger = await join(), await join()
    await left(partner, person)
    superuser.execute("DELETE FROM consents WHERE user_id = %s", [person.id])
    assert problem(await withdrawn(client, stranger, partner)) == "not-found"
    assert (await withdrawn(client, person, partner)).status_code == 204
    assert problem(await withdrawn(client, person, partner)) == "not-found", "nothing is left"


async def test_a_person_who_ends_a_grant_ends_its_client_s_unused_codes(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, stranger, kept = await join(), await join(), await register(settings, client)
    await partner.tokens_of(person)
    unused = (await partner.ask(person, VERIFIER))["code"]
    others = [(app, (await app.ask(who, VERIFIER))["code"]) for app, who in ((kept, person), (partner, stranger))]
    assert (await grant_ended(client, person, partner)).status_code == 204
    assert (await partner.exchange(unused, VERIFIER)).json()["error"] == "invalid_grant"
    for app, code in others:
        assert (await app.exchange(code, VERIFIER)).status_code == 200


async def test_what_people_have_allowed_a_client_ends_with_it(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner, superuser: psycopg.Connection
) -> None:
    person, kept = await join(), await register(settings, client)
    for app in (partner, kept):
        await app.tokens_of(person)
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.begin() as connection:
        assert await clients.end(connection, partner.id)
    await engine.dispose()
    stored = superuser.execute("SELECT client_id FROM consents WHERE user_id = %s", [person.id]).fetchall()
    assert stored == [(kept.id,)]


async def test_consents_are_in_the_export_of_their_owner(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person = await join()
    await partner.tokens_of(person)
    exported = (await client.get("/v1/me/export", headers=person.headers)).json()
    assert exported["consents"] == await consents(client, person)
    assert len(exported["consents"]) == 1


async def _password_changed(client: httpx2.AsyncClient, person: Person) -> None:
    body = {"old_password": person.password, "password": "another battery staple"}
    assert (await client.put("/v1/me/password", json=body, headers=person.headers)).status_code == 204


async def _logged_out(client: httpx2.AsyncClient, person: Person) -> None:
    assert (await client.delete("/v1/me/sessions", headers=person.headers)).status_code == 204


async def _erased(client: httpx2.AsyncClient, person: Person) -> None:
    body = {"password": person.password}
    assert (await client.request("DELETE", "/v1/me", json=body, headers=person.headers)).status_code == 204


@pytest.mark.parametrize("end", sample([_password_changed, _logged_out, _erased], 2, of="ends of log-ins"))
async def test_a_page_that_waits_for_a_decision_ends_with_the_log_ins_of_its_person(
    client: httpx2.AsyncClient, join: Join, partner: Partner, end: Callable[..., Awaitable[None]]
) -> None:
    person, asked = await join(), partner.request(VERIFIER)
    page = await log_in_for(client, person, asked)
    await end(client, person)
    answer = await allow(client, page, asked)
    assert answer.status_code == 401
    assert 'name="password"' in answer.text, "from the beginning"


async def test_a_decision_is_made_once_in_time_and_for_its_client(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner, superuser: psycopg.Connection
) -> None:
    person, other, asked = await join(), await register(settings, client), partner.request(VERIFIER)
    page = await log_in_for(client, person, asked)
    assert person.email in page.text, "so that a person sees whose account it is"
    assert (await allow(client, page, other.request(VERIFIER))).status_code == 401, "for another client"
    guess = {"consent": secrets.token_urlsafe(32), "decision": "allow"}
    assert (await client.post(PAGE, data=asked | guess)).status_code == 401
    assert (await allow(client, page, asked)).status_code == 302
    assert (await allow(client, page, asked)).status_code == 401, "once"
    late = await log_in_for(client, person, asked | {"prompt": "consent"})
    age_page(superuser, partner, "11 minutes")
    assert (await allow(client, late, asked)).status_code == 401, "too late"


async def test_a_no_on_the_page_of_the_decision_is_answered_to_the_client_and_remembers_nothing(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, asked = await join(), partner.request(VERIFIER)
    page = await log_in_for(client, person, asked)
    answer = await client.post(PAGE, data=asked | {"consent": consent_on(page), "decision": "deny"})
    assert told(answer)["error"] == "access_denied"
    assert await consents(client, person) == []
    assert (await allow(client, page, asked)).status_code == 401, "the decision is made"


async def test_a_no_ends_no_other_decision_that_waits(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, other, asked = await join(), await register(settings, client), partner.request(VERIFIER)
    page, second = [await log_in_for(client, person, asked) for _ in range(2)]
    for given, consent in ((asked, consent_on(second)), (asked, ""), (other.request(VERIFIER), consent_on(page))):
        answer = await client.post(PAGE, data=given | {"consent": consent, "decision": "deny"})
        assert told(answer)["error"] == "access_denied"
    assert (await allow(client, page, asked)).status_code == 302


@pytest.mark.parametrize("name", ["email", "password", "challenge", "second_factor", "consent", "decision"])
async def test_the_address_of_the_page_fills_in_no_field_of_its_form(
    client: httpx2.AsyncClient, partner: Partner, name: str
) -> None:
    page = await client.get(PAGE, params=partner.request(VERIFIER) | {name: "attackers-word"})
    assert page.status_code == 200
    assert "attackers-word" not in page.text


async def test_an_id_token_says_when_its_person_has_logged_in_and_not_when_they_decided(
    client: httpx2.AsyncClient, join: Join, partner: Partner, superuser: psycopg.Connection
) -> None:
    person, asked = await join(), partner.request(VERIFIER)
    page = await log_in_for(client, person, asked)
    age_page(superuser, partner, "5 minutes")
    code = told(await allow(client, page, asked))["code"]
    token = (await partner.exchange(code, VERIFIER)).json()["id_token"].split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    assert 295 <= time.time() - said["auth_time"] <= 330
