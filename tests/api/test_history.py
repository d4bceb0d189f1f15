"""A person gets all of their history, however long it is, and calls without an effect do not make it longer."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import psycopg

from api.identity.history import HistoryPage
from cli.audit_log import audit_log_app
from config.settings import Settings
from tests.api.conftest import Join
from tests.api.histories import lengthen
from tests.api.people import Person, problem
from tests.api.test_audit_log import entries, user
from tests.command_line import seatwright

EXPORTED = 1000


async def older(client: httpx2.AsyncClient, person: Person, cursor: str | None) -> list[dict[str, Any]]:
    """All entries after a cursor, page by page; the whole history without one."""
    found, is_first = list[dict[str, Any]](), cursor is None
    while cursor or is_first:
        params = {"cursor": cursor} if cursor else {}
        answer = await client.get("/v1/me/history", params=params, headers=person.headers)
        assert answer.status_code == 200, answer.text
        page = HistoryPage.model_validate_json(answer.content)
        assert len(page.history) <= 200
        found += answer.json()["history"]
        cursor, is_first = page.next_cursor, False
    return found


async def test_a_person_gets_all_of_a_long_history_in_several_calls(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    person, written = await join(), 1500
    lengthen(settings, superuser, person, written)
    answers = await asyncio.gather(*(client.get("/v1/me/export", headers=person.headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    export = answers[0].json()
    assert len(export["history"]) == EXPORTED
    everything = export["history"] + await older(client, person, export["history_cursor"])
    actions = [each["action"] for each in everything if each["action"] != "account.exported"]
    newest_first = [f"test.{number}" for number in reversed(range(written))]
    assert actions == [*newest_first, "session.opened", "account.registered"]
    assert {each["address"] for each in everything} == {"127.0.0.1"}
    listed = await older(client, person, None)
    assert [each["action"] for each in listed if each["action"] != "account.exported"] == actions


async def test_a_short_history_is_in_the_export_without_a_cursor(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    export = (await client.get("/v1/me/export", headers=person.headers)).json()
    assert (export["history_cursor"], export["bookings_cursor"]) == (None, None)
    listed = (await client.get("/v1/me/history", headers=person.headers)).json()
    assert listed["next_cursor"] is None
    assert [each["action"] for each in listed["history"]] == [
        "account.exported",
        "session.opened",
        "account.registered",
    ]


async def test_a_cursor_of_another_persons_history_is_refused(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    person, other = await join(), await join()
    lengthen(settings, superuser, other, 200)
    cursor = (await client.get("/v1/me/history", headers=other.headers)).json()["next_cursor"]
    for given in (cursor, "", "é", "\0", "1", "x" * 101, str(uuid4())):
        answer = await client.get("/v1/me/history", params={"cursor": given}, headers=person.headers)
        assert (answer.status_code, problem(answer)) == (422, "invalid-request"), given
    assert (await client.get("/v1/me/history", params={"cursor": cursor}, headers=other.headers)).status_code == 200


async def test_a_team_call_without_an_effect_is_not_in_the_history_of_that_person(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    owner, other = await join("organizer"), await join()
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    path, own = f"/v1/teams/{team}/members/{other.id}", f"/v1/me/teams/{team}"
    assert (await client.delete(path, headers=owner.headers)).status_code == 200, "never in the team"
    for role in ("staff", "staff", "owner", "owner"):
        assert (await client.put(path, json={"role": role}, headers=owner.headers)).status_code == 200
    for _ in range(2):
        assert (await client.put(own, headers=other.headers)).status_code == 204
    for _ in range(2):
        assert (await client.delete(path, headers=owner.headers)).status_code == 200
    of_team = [action for _, _, action in entries(superuser, user(other)) if action.startswith("team.")]
    assert of_team == [f"team.member-put:{team}:staff", f"team.member-put:{team}:owner", f"team.member-removed:{team}"]
    assert [action for _, _, action in entries(superuser, f"team/{team}")] == ["team.made", "team.joined"]


async def test_of_a_profile_that_changes_again_and_again_ten_changes_an_hour_are_kept(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person, other = await join(), await join()
    for number in range(13):
        name = {"name": f"Name {number % 2}"}
        assert (await client.patch("/v1/me", json=name, headers=person.headers)).json()["name"] == name["name"]
    await client.patch("/v1/me", json={"name": "Grace"}, headers=other.headers)
    kept = [sum(action == "profile.changed" for *_, action in entries(superuser, user(p))) for p in (person, other)]
    assert kept == [10, 1]


async def test_the_removal_of_no_second_factor_is_not_in_the_history(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person, body = await join(), {"password": "correct horse battery", "code": "123456"}
    answer = await client.request("DELETE", "/v1/me/second-factor", json=body, headers=person.headers)
    assert answer.status_code == 204, answer.text
    assert [action for *_, action in entries(superuser, user(person))] == ["account.registered"]


async def test_an_operator_reads_all_of_a_long_history_oldest_first(
    join: Join, settings: Settings, superuser: psycopg.Connection, stack_env: dict[str, str]
) -> None:
    person, written = await join(), 450
    lengthen(settings, superuser, person, written)
    lines = (await seatwright(audit_log_app, stack_env, "show", user(person))).splitlines()
    shown = [line.split("  ")[4] for line in lines]
    assert shown == ["account.registered", "session.opened", *(f"test.{number}" for number in range(written))]
