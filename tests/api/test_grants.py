"""People see which applications they have allowed something, and can end each by itself."""

from __future__ import annotations

from uuid import uuid4

import httpx2

from config.settings import Settings
from tests.api.conftest import Join
from tests.api.partners import bearer, register
from tests.api.people import Person, problem
from tests.waiting import eventually


async def grants(client: httpx2.AsyncClient, person: Person) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (await client.get("/v1/me/grants", headers=person.headers)).json()["grants"]
    return found


async def test_a_person_ends_what_one_application_may_do_and_others_go_on(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    person, other = await join(), await join()
    kept, ended = await register(settings, client), await register(settings, client)
    tokens, gone = await kept.tokens_of(person), await ended.tokens_of(person, scope="bookings:read")
    [newest, oldest] = await grants(client, person)
    assert (oldest["client_id"], newest["client_id"]) == (str(kept.id), str(ended.id))
    assert (newest["client"], newest["scopes"]) == ("A <b>partner</b>", ["bookings:read"])
    assert await grants(client, other) == []
    path = f"/v1/me/grants/{newest['id']}"
    assert problem(await client.delete(path, headers=other.headers)) == "not-found"
    assert problem(await client.delete(f"/v1/me/grants/{uuid4()}", headers=person.headers)) == "not-found"
    assert (await client.delete(path, headers=person.headers)).status_code == 204
    assert problem(await client.delete(path, headers=person.headers)) == "not-found"
    assert await grants(client, person) == [oldest]
    assert (await ended.refresh(gone["refresh_token"])).json()["error"] == "invalid_grant"

    async def refused() -> bool:
        return (await client.get("/v1/me/bookings", headers=bearer(gone))).status_code == 401

    await eventually(refused, within=5)
    assert (await kept.refresh(tokens["refresh_token"])).status_code == 200
    assert (await client.get("/v1/me", headers=person.headers)).status_code == 200


async def test_an_application_can_neither_see_nor_end_grants(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    tokens = await (await register(settings, client)).tokens_of(person)
    assert problem(await client.get("/v1/me/grants", headers=bearer(tokens))) == "forbidden"
    [grant] = await grants(client, person)
    assert problem(await client.delete(f"/v1/me/grants/{grant['id']}", headers=bearer(tokens))) == "forbidden"
