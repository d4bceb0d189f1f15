"""People see where they are logged in, and can end it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2
import psycopg

from tests.api.conftest import Join
from tests.api.people import Person, log_in, problem


async def can_refresh(client: httpx2.AsyncClient, person: Person) -> bool:
    form = {"grant_type": "refresh_token", "refresh_token": person.refresh_token}
    return (await client.post("/v1/oauth/token", data=form)).status_code == 200


async def sessions(client: httpx2.AsyncClient, person: Person) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/v1/me/sessions", headers=person.headers)).json()["sessions"]
    return listed


async def test_sessions_are_listed_with_their_device_the_last_used_first(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    client.headers["User-Agent"] = "Other device"
    await log_in(client, person.email, person.password)
    listed = await sessions(client, person)
    assert listed[0]["user_agent"] == "Other device"
    assert len(listed) == 2
    assert [session["current"] for session in listed] == [False, True]
    assert {session["address"] for session in listed} == {"127.0.0.1"}
    await can_refresh(client, person)
    assert (await sessions(client, person))[1]["user_agent"] == "Other device"


async def test_a_session_that_its_owner_ends_cannot_be_refreshed_and_others_go_on(
    client: httpx2.AsyncClient, join: Join
) -> None:
    first = await join()
    [before] = await sessions(client, first)
    second = await log_in(client, first.email, first.password)
    path = f"/v1/me/sessions/{before['id']}"
    assert (await client.delete(path, headers=second.headers)).status_code == 204
    assert problem(await client.delete(path, headers=second.headers)) == "not-found"
    assert not await can_refresh(client, first)
    assert await can_refresh(client, second)
    assert len(await sessions(client, second)) == 1


async def test_no_account_ends_or_sees_the_session_of_another(client: httpx2.AsyncClient, join: Join) -> None:
    owner, other = await join(), await join("operator")
    [session] = await sessions(client, owner)
    for id in (session["id"], str(uuid4())):
        assert problem(await client.delete(f"/v1/me/sessions/{id}", headers=other.headers)) == "not-found"
    assert session["id"] not in {each["id"] for each in await sessions(client, other)}
    assert await can_refresh(client, owner)
    assert problem(await client.get("/v1/me/sessions")) == "unauthenticated"


async def test_logging_out_everywhere_ends_all_sessions(client: httpx2.AsyncClient, join: Join) -> None:
    first = await join()
    second = await log_in(client, first.email, first.password)
    assert (await client.delete("/v1/me/sessions", headers=first.headers)).status_code == 204
    assert not await can_refresh(client, first)
    assert not await can_refresh(client, second)


async def test_the_device_of_a_session_is_not_readable_in_the_database(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    client.headers["User-Agent"] = "Canary/1.0"
    person = await join()
    [(device,)] = superuser.execute("SELECT device FROM sessions WHERE user_id = %s", [person.id]).fetchall()
    assert device
    assert b"Canary" not in device
