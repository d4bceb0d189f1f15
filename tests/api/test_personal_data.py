"""People own their data: they change it, export it, and erase it everywhere."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from api.http.idempotency import digest
from api.identity.erasure import Export
from api.identity.teams import NewTeam
from config.settings import Settings, secret
from tests.api.conftest import Join
from tests.api.people import Person, log_in, problem
from tests.api.test_second_factor import enrol
from tests.api.test_sessions import can_refresh
from tests.scale import sample

FULL = {
    "name": "Grace Hopper",
    "phone": "+31201234567",
    "language": "pt-BR",
    "channels": ["email", "push"],
    "favourite_categories": ["jazz", "theatre"],
}


async def me(client: httpx2.AsyncClient, person: Person) -> dict[str, Any]:
    answer = await client.get("/v1/me", headers=person.headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def erase(client: httpx2.AsyncClient, person: Person, **body: str) -> httpx2.Response:
    given = {"password": person.password} | body
    return await client.request("DELETE", "/v1/me", json=given, headers=person.headers)


def dump(superuser: psycopg.Connection) -> str:
    """Every row of identity's database as text, and each sealed or hashed column as its letters, if it has any."""
    tables = superuser.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    rows = [str(row) for (table,) in tables for row in superuser.execute(f'SELECT * FROM "{table}"').fetchall()]
    return "\n".join(rows)


async def test_preferences_are_changed_one_by_one_and_kept(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    before = await me(client, person)
    assert (before["language"], before["channels"], before["phone"]) == ("en", ["email"], None)
    for field, value in FULL.items():
        changed = await client.patch("/v1/me", json={field: value}, headers=person.headers)
        assert changed.status_code == 200, changed.text
    assert await me(client, person) == before | FULL
    assert changed.json() == before | FULL
    await client.patch("/v1/me", json={"phone": None}, headers=person.headers)
    assert (await me(client, person))["phone"] is None


async def test_changes_of_different_fields_at_once_are_all_kept(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    before = await me(client, person)
    await asyncio.gather(*(client.patch("/v1/me", json={name: FULL[name]}, headers=person.headers) for name in FULL))
    assert await me(client, person) == before | FULL


BAD = [
    ("phone", "0201234567"),
    ("language", "English"),
    ("language", None),
    ("name", None),
    ("name", " "),
    ("channels", ["pigeon"]),
    ("channels", ["email", "email"]),
    ("favourite_categories", ["x"] * 2),
    ("favourite_categories", [str(number) for number in range(21)]),
    ("email_verified", True),
    ("second_factor", False),
    ("created_at", "2020-01-01T00:00:00Z"),
]


async def test_a_bad_preference_is_refused_by_name_and_changes_nothing(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    before = await me(client, person)
    for field, value in BAD:
        answer = await client.patch("/v1/me", json={"name": "Eve", field: value}, headers=person.headers)
        assert (answer.status_code, problem(answer)) == (422, "invalid-request"), (field, value)
        assert {error["field"].split(".")[1] for error in answer.json()["errors"]} == {field}, value
        assert await me(client, person) == before, (field, value)


async def test_nothing_that_a_person_told_us_can_be_read_in_the_database(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    canary = uuid4().hex[:12]
    person = await join()
    told = {"name": f"Canary {canary}", "phone": "+4915112345678", "favourite_categories": [f"c-{canary}"]}
    assert (await client.patch("/v1/me", json=told, headers=person.headers)).status_code == 200
    stored = dump(superuser)
    assert person.id in stored
    for word in (canary, person.email, person.email.partition("@")[0], "+4915112345678"):
        assert word not in stored


async def test_exports_are_recorded_once_an_hour(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person, other = await join(), await join()

    async def recorded(times: int) -> list[str]:
        for _ in range(times):
            answer = await client.get("/v1/me/export", headers=person.headers)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        return [entry["action"] for entry in answer.json()["history"] if entry["action"] == "account.exported"]

    assert await recorded(4) == ["account.exported"]
    await client.get("/v1/me/export", headers=other.headers)
    mine = "actor = %s AND action = 'account.exported'"
    count = superuser.execute(f"SELECT count(*) FROM audit_log WHERE {mine}", [f"user/{person.id}"]).fetchone()
    assert count == (1,), "another person's export does not count"


async def test_an_export_has_all_data_of_its_owner_and_of_no_other_person(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person, other = await join(), await join()
    for _ in range(2):  # the second changes nothing, and is not in the audit log
        await client.patch("/v1/me", json=FULL, headers=person.headers)
    answer = await client.get("/v1/me/export", headers=person.headers)
    assert answer.headers["cache-control"] == "no-store"
    export = answer.json()
    assert Export.model_validate_json(answer.content).model_dump(mode="json", exclude_unset=True) == export
    assert export["profile"] == await me(client, person)
    assert export["sessions"] == (await client.get("/v1/me/sessions", headers=person.headers)).json()["sessions"]
    assert [deed["action"] for deed in export["history"]] == ["profile.changed", "session.opened", "account.registered"]
    assert {deed["address"] for deed in export["history"]} == {"127.0.0.1"}
    assert export["bookings"] == []
    assert other.id not in answer.text
    assert other.email not in answer.text


async def test_who_erases_an_account_has_to_prove_themselves_once_more(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    _, codes = await enrol(client, person)
    for body in ({"password": "not the password", "code": codes[0]}, {}, {"code": "not-a-code"}):
        assert problem(await erase(client, person, **body)) == "forbidden"
    assert (await me(client, person))["id"] == person.id
    assert (await erase(client, person, code=codes[0])).status_code == 204


async def test_an_erased_person_is_gone_and_their_address_is_free(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection, settings: Settings
) -> None:
    person = await join()
    await client.patch("/v1/me", json=FULL, headers=person.headers)
    assert (await erase(client, person)).status_code == 204
    assert not await can_refresh(client, person)
    login = await client.post("/v1/sessions", json={"email": person.email, "password": person.password})
    assert problem(login) == "unauthenticated"
    internal = {"Authorization": f"Bearer {secret(settings.internal_token)}"}
    path = f"{settings.identity_address}/internal/v1/users/{person.id}/contact"
    contact = await client.get(path, headers=internal)
    assert problem(contact) == "not-found"
    [(told,)] = superuser.execute(
        "SELECT data FROM domain_events WHERE aggregate_id = %s AND type = 'user.erased'", [person.id]
    ).fetchall()
    assert told == {"user_id": person.id}
    again = {"email": person.email, "password": person.password, "name": "Grace"}
    made = await client.post("/v1/users", json=again)
    assert made.status_code == 201
    assert made.json()["id"] != person.id
    assert (await log_in(client, person.email, person.password)).id == made.json()["id"]


async def test_what_was_sealed_for_an_erased_person_can_never_be_opened_again(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    """A backup of everything but the keys is all that is left of a person: their key was the only way in."""
    person = await join()
    query = "SELECT count(*) FROM user_keys WHERE user_id = %s"
    assert superuser.execute(query, [person.id]).fetchall() == [(1,)]
    assert (await erase(client, person)).status_code == 204
    assert superuser.execute(query, [person.id]).fetchall() == [(0,)]
    left = superuser.execute(
        "SELECT address_hash, profile, password_hash, verified_at, roles FROM users WHERE id = %s", [person.id]
    ).fetchall()
    assert left == [(None, None, None, None, [])]
    devices = superuser.execute("SELECT device FROM sessions WHERE user_id = %s", [person.id]).fetchall()
    assert devices == [(None,)]


async def test_no_session_outlives_an_erasure_that_runs_beside_its_beginning(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    body = {"email": person.email, "password": person.password}
    *answers, done = await asyncio.gather(
        *(client.post("/v1/sessions", json=body) for _ in range(8)), erase(client, person)
    )
    assert done.status_code == 204
    assert {answer.status_code for answer in answers} <= {201, 401}
    for answer in answers:
        if answer.status_code == 201:
            form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
            assert (await client.post("/v1/oauth/token", data=form)).status_code == 400


WRITTEN = ["Grace-Hopper-1906", "grace.hopper_example.test", "4d3c"]


@pytest.mark.parametrize("given", sample(WRITTEN, 1, of="request ids that a person wrote"))
async def test_a_request_id_that_a_person_wrote_goes_with_their_key(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection, given: str
) -> None:
    person = await join()
    headers = person.headers | {"X-Request-Id": given}
    assert (await client.get("/v1/me/export", headers=headers)).headers["x-request-id"] == given
    made = {"email": f"{uuid4()}@example.test", "password": person.password, "name": "Grace"}
    assert (await client.post("/v1/users", json=made, headers=headers)).status_code == 201
    wrong = {"email": person.email, "password": "not the password"}
    assert (await client.post("/v1/sessions", json=wrong, headers=headers)).status_code == 401
    assert (await erase(client, person)).status_code == 204
    rows = superuser.execute("SELECT request_id FROM audit_log WHERE request_id = %s", [given]).fetchall()
    assert rows == []


async def test_a_request_id_that_says_nothing_about_a_person_can_be_searched_for(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person, id = await join(), str(uuid4())
    await client.get("/v1/me/export", headers=person.headers | {"X-Request-Id": id})
    rows = superuser.execute("SELECT action FROM audit_log WHERE request_id = %s", [id]).fetchall()
    assert rows == [("account.exported",)]


async def test_a_team_of_one_goes_with_its_name_when_that_person_is_erased(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    owner, invited, name = await join("organizer"), await join(), f"Hopper {uuid4().hex}"
    team = (await client.post("/v1/teams", json={"name": name}, headers=owner.headers)).json()["id"]
    path = f"/v1/teams/{team}/members/{invited.id}"
    assert (await client.put(path, json={"role": "owner"}, headers=owner.headers)).status_code == 200
    digest_of_name = digest(NewTeam(name=name))
    assert digest_of_name in dump(superuser), "the team's idempotency key has it"
    assert (await erase(client, owner)).status_code == 204
    stored = dump(superuser)
    assert name not in stored
    assert digest_of_name not in stored
    assert (await client.get("/v1/me/teams", headers=invited.headers)).json() == {"teams": []}


async def test_the_only_owner_of_a_team_with_others_names_an_heir_before_the_erasure(
    client: httpx2.AsyncClient, join: Join
) -> None:
    owner, heir, operator = await join("organizer"), await join(), await join("operator")
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    path = f"/v1/teams/{team}/members/{heir.id}"
    await client.put(path, json={"role": "staff"}, headers=owner.headers)
    await client.put(f"/v1/me/teams/{team}", headers=heir.headers)
    refused = await erase(client, owner)
    assert (refused.status_code, problem(refused)) == (409, "wrong-state")
    assert refused.json()["teams"] == [team]
    assert (await me(client, owner))["id"] == owner.id
    changed = await client.put(path, json={"role": "owner"}, headers=operator.headers)
    assert changed.status_code == 200, "an operator may do it, too"
    assert (await erase(client, owner)).status_code == 204
    heir = await log_in(client, heir.email, heir.password)
    left = (await client.get(f"/v1/teams/{team}", headers=heir.headers)).json()["members"]
    assert left == [{"user_id": heir.id, "role": "owner", "accepted": True}]
