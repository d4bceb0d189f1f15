"""Teams of organizers: owners do, staff sees, and who leaves has nothing left within seconds."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2

from tests.api.conftest import Join
from tests.api.people import Person, log_in, problem
from tests.waiting import eventually


async def again(client: httpx2.AsyncClient, person: Person) -> Person:
    """The person with new tokens."""
    return await log_in(client, person.email, person.password)


async def test_staff_of_a_team_sees_its_drafts_and_sales_and_changes_nothing(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    owner, staff, stranger = await join("organizer"), await join(), await join("organizer")
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()
    assert team["members"] == [{"user_id": owner.id, "role": "owner"}]
    path = f"/v1/teams/{team['id']}"
    put = await client.put(f"{path}/members/{staff.id}", json={"role": "staff"}, headers=owner.headers)
    assert put.json()["members"] == [{"user_id": owner.id, "role": "owner"}, {"user_id": staff.id, "role": "staff"}]
    owner, staff = await again(client, owner), await again(client, staff)
    body = new_event | {"team_id": team["id"]}
    event = (await client.post("/v1/events", json=body, headers=owner.headers)).json()
    assert event["organizer_id"] == team["id"]
    at = f"/v1/events/{event['id']}"
    assert (await client.get(at, headers=staff.headers)).status_code == 200
    assert problem(await client.get(at, headers=stranger.headers)) == "not-found"
    for person in (staff, stranger):
        assert (await client.post(f"{at}/publish", headers=person.headers)).status_code in (403, 404)
        assert (await client.post("/v1/events", json=body, headers=person.headers)).status_code in (403, 422)
    assert (await client.post(f"{at}/publish", headers=owner.headers)).status_code == 200
    sales = await client.get(f"{at}/sales", headers=staff.headers)
    nothing = {"bookings": 0, "tickets": 0, "taken": 0, "refunded": 0}
    assert sales.json() == nothing | {"event_id": event["id"], "currency": "EUR"}
    assert problem(await client.get(f"{at}/sales", headers=stranger.headers)) == "not-found"
    for person in (staff, stranger):
        assert (await client.post(f"{at}/cancel", headers=person.headers)).status_code in (403, 404)
    assert (await client.get(at)).json()["status"] == "published"
    assert (await client.post(f"{at}/cancel", headers=owner.headers)).json()["status"] == "cancelled"
    assert (await client.get(f"{at}/cancellation", headers=staff.headers)).status_code == 200


async def test_staff_with_the_role_of_an_organizer_is_still_staff(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    owner, staff = await join("organizer"), await join("organizer")
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    member = f"/v1/teams/{team}/members/{staff.id}"
    await client.put(member, json={"role": "staff"}, headers=owner.headers)
    owner, staff = await again(client, owner), await again(client, staff)
    event = (await client.post("/v1/events", json=new_event | {"team_id": team}, headers=owner.headers)).json()["id"]
    for call in (
        client.post(f"/v1/events/{event}/publish", headers=staff.headers),
        client.post(f"/v1/events/{event}/cancel", headers=staff.headers),
    ):
        assert problem(await call) == "not-found"
    assert problem(await client.put(member, json={"role": "owner"}, headers=staff.headers)) == "forbidden"


async def test_who_leaves_a_team_loses_sight_of_it_within_seconds(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    owner, staff = await join("organizer"), await join()
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    member = f"/v1/teams/{team}/members/{staff.id}"
    await client.put(member, json={"role": "staff"}, headers=owner.headers)
    owner, staff = await again(client, owner), await again(client, staff)
    event = (await client.post("/v1/events", json=new_event | {"team_id": team}, headers=owner.headers)).json()["id"]
    assert (await client.get(f"/v1/events/{event}", headers=staff.headers)).status_code == 200
    assert (await client.delete(member, headers=owner.headers)).status_code == 200
    assert (await client.delete(member, headers=owner.headers)).status_code == 200, "again is no error"

    async def refused() -> bool:
        return (await client.get(f"/v1/events/{event}", headers=staff.headers)).status_code == 401

    await eventually(refused, within=5)
    staff = await again(client, staff)
    assert problem(await client.get(f"/v1/events/{event}", headers=staff.headers)) == "not-found"


async def test_a_team_keeps_an_owner(client: httpx2.AsyncClient, join: Join) -> None:
    owner, heir = await join("organizer"), await join("organizer")
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    own, others = (f"/v1/teams/{team}/members/{person.id}" for person in (owner, heir))
    assert problem(await client.delete(own, headers=owner.headers)) == "wrong-state"
    assert problem(await client.put(own, json={"role": "staff"}, headers=owner.headers)) == "wrong-state"
    assert problem(await client.put(others, json={"role": "boss"}, headers=owner.headers)) == "invalid-request"
    nobody = f"/v1/teams/{team}/members/{uuid4()}"
    assert problem(await client.put(nobody, json={"role": "staff"}, headers=owner.headers)) == "not-found"
    assert (await client.put(others, json={"role": "owner"}, headers=owner.headers)).status_code == 200
    left = await client.delete(own, headers=owner.headers)
    assert [member["user_id"] for member in left.json()["members"]] == [heir.id]
