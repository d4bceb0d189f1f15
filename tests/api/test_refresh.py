"""A refresh token works once. The program that used it may repeat the refresh for some seconds."""

from __future__ import annotations

import asyncio

import httpx2
import psycopg
import pytest

from tests.api.conftest import Join
from tests.api.people import log_in


async def refresh(client: httpx2.AsyncClient, token: str, program: str = "Tab/1.0") -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return await client.post("/v1/oauth/token", data=form, headers={"User-Agent": program})


def successor(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["refresh_token"])


async def test_a_refresh_whose_answer_was_lost_is_repeated(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    first, again = [successor(await refresh(client, person.refresh_token)) for _ in range(2)]
    assert first == again != person.refresh_token
    heir = successor(await refresh(client, again))
    assert heir not in (first, person.refresh_token)
    assert successor(await refresh(client, first)) == heir


async def test_tabs_that_refresh_at_the_same_moment_all_stay_logged_in(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    answers = await asyncio.gather(*(refresh(client, person.refresh_token) for _ in range(8)))
    [shared] = {successor(answer) for answer in answers}
    assert successor(await refresh(client, shared))
    for answer in answers:
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await client.get("/v1/me", headers=headers)).status_code == 200


@pytest.mark.parametrize(("program", "later"), [("Thief/1.0", 0), ("Tab/1.0", 11), ("Tab/1.0", 86_400)])
async def test_another_second_use_ends_the_family(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection, program: str, later: int
) -> None:
    person = await join()
    newest = successor(await refresh(client, person.refresh_token))
    aged = (
        "UPDATE refresh_tokens SET used_at = used_at - make_interval(secs => %s)"
        " WHERE used_at IS NOT NULL AND family IN (SELECT id FROM sessions WHERE user_id = %s)"
    )
    superuser.execute(aged, [later, person.id])
    again = await refresh(client, person.refresh_token, program)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await refresh(client, newest)).status_code == 400, "the family has ended"
    other_session = await log_in(client, person.email, person.password)
    assert (await refresh(client, other_session.refresh_token)).status_code == 200, "other log-ins go on"


async def test_a_repetition_does_not_continue_a_session_that_has_ended(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    successor(await refresh(client, person.refresh_token))
    assert (await client.delete("/v1/me/sessions", headers=person.headers)).status_code == 204
    assert (await refresh(client, person.refresh_token)).status_code == 400


async def test_the_database_has_neither_a_refresh_token_nor_what_makes_its_successor(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    newest = successor(await refresh(client, person.refresh_token))
    rows = superuser.execute(
        "SELECT t::text FROM refresh_tokens t JOIN sessions s ON s.id = t.family WHERE s.user_id = %s", [person.id]
    ).fetchall()
    assert len(rows) == 2
    assert not [row for row in rows if newest in row[0] or person.refresh_token in row[0] or "Tab" in row[0]]
