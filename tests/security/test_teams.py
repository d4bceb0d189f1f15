"""Teams of organizers: owners do, staff sees, and who leaves has nothing left within seconds."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from config.settings import Settings
from tests.api.conftest import Join
from tests.api.mails import MailBox
from tests.api.people import Person, log_in, problem
from tests.proofs import prove_address
from tests.waiting import eventually


async def again(client: httpx2.AsyncClient, person: Person) -> Person:
    """The person with new tokens."""
    return await log_in(client, person.email, person.password)


async def belongs(client: httpx2.AsyncClient, owner: Person, team: str, person: Person, role: str = "staff") -> None:
    """The owner invites the person, who agrees."""
    path = f"/v1/teams/{team}/members/{person.id}"
    assert (await client.put(path, json={"role": role}, headers=owner.headers)).status_code == 200
    assert (await client.put(f"/v1/me/teams/{team}", headers=person.headers)).status_code == 204


def member(person: Person, role: str, *, accepted: bool = True) -> dict[str, Any]:
    return {"user_id": person.id, "role": role, "accepted": accepted}


async def test_staff_of_a_team_sees_its_drafts_and_sales_and_changes_nothing(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    owner, staff, stranger = await join("organizer"), await join(), await join("organizer")
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()
    assert team["members"] == [member(owner, "owner")]
    path = f"/v1/teams/{team['id']}"
    put = await client.put(f"{path}/members/{staff.id}", json={"role": "staff"}, headers=owner.headers)
    assert put.json()["members"] == [member(owner, "owner"), member(staff, "staff", accepted=False)]
    await belongs(client, owner, team["id"], staff)
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
    await belongs(client, owner, team, staff)
    owner, staff = await again(client, owner), await again(client, staff)
    event = (await client.post("/v1/events", json=new_event | {"team_id": team}, headers=owner.headers)).json()["id"]
    path = f"/v1/teams/{team}/members/{staff.id}"
    for call in (
        client.post(f"/v1/events/{event}/publish", headers=staff.headers),
        client.post(f"/v1/events/{event}/cancel", headers=staff.headers),
    ):
        assert problem(await call) == "not-found"
    assert problem(await client.put(path, json={"role": "owner"}, headers=staff.headers)) == "forbidden"


@pytest.mark.parametrize("by_themselves", [False, pytest.param(True, marks=pytest.mark.thorough)])
async def test_who_leaves_a_team_loses_sight_of_it_within_seconds(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any], by_themselves: bool
) -> None:
    owner, staff = await join("organizer"), await join()
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    await belongs(client, owner, team, staff)
    owner, staff = await again(client, owner), await again(client, staff)
    event = (await client.post("/v1/events", json=new_event | {"team_id": team}, headers=owner.headers)).json()["id"]
    assert (await client.get(f"/v1/events/{event}", headers=staff.headers)).status_code == 200
    if by_themselves:
        assert (await client.delete(f"/v1/me/teams/{team}", headers=staff.headers)).status_code == 204
    path = f"/v1/teams/{team}/members/{staff.id}"
    assert (await client.delete(path, headers=owner.headers)).status_code == 200
    assert (await client.delete(path, headers=owner.headers)).status_code == 200, "again is no error"

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
    stranger = f"/v1/teams/{team}/members/{uuid4()}"
    assert problem(await client.put(stranger, json={"role": "staff"}, headers=owner.headers)) == "not-found"
    assert (await client.put(others, json={"role": "owner"}, headers=owner.headers)).status_code == 200
    assert problem(await client.delete(own, headers=owner.headers)) == "wrong-state", "the heir has not agreed yet"
    assert problem(await client.delete(f"/v1/me/teams/{team}", headers=owner.headers)) == "wrong-state"
    await belongs(client, owner, team, heir, "owner")
    left = await client.delete(own, headers=owner.headers)
    assert left.json()["members"] == [member(heir, "owner")]


async def test_a_person_joins_a_team_only_by_accepting(client: httpx2.AsyncClient, join: Join) -> None:
    """Else any organizer could end the tokens of anybody, again and again, or make them too long to be used."""
    stranger, person, leaver = await join("organizer"), await join(), await join()
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=stranger.headers)).json()["id"]
    path, own = f"/v1/teams/{team}/members/{person.id}", f"/v1/me/teams/{team}"
    for role in ("staff", "owner"):
        assert (await client.put(path, json={"role": role}, headers=stranger.headers)).status_code == 200
    invited = (await client.get("/v1/me/teams", headers=person.headers)).json()
    assert invited == {"teams": [{"team_id": team, "name": "Globe", "role": "owner", "accepted": False}]}
    fresh = await again(client, person)
    assert "teams" not in claims_of(fresh.access_token)
    assert problem(await client.get(f"/v1/teams/{team}", headers=fresh.headers)) == "not-found"
    assert (await client.delete(own, headers=person.headers)).status_code == 204
    assert problem(await client.put(own, headers=person.headers)) == "not-found", "declined"
    await belongs(client, stranger, team, leaver)
    assert (await client.delete(f"/v1/me/teams/{team}", headers=leaver.headers)).status_code == 204
    await eventually(lambda: is_refused(client, leaver), within=5)  # the revocation has arrived
    assert not await is_refused(client, person)


async def test_an_invited_person_gets_one_mail_with_no_text_of_the_team(
    client: httpx2.AsyncClient, join: Join, mailbox: MailBox, settings: Settings
) -> None:
    owner, person = await join("organizer"), await join()
    prove_address(settings, person.id)
    name = f"Globe {uuid4().hex}"
    team = (await client.post("/v1/teams", json={"name": name}, headers=owner.headers)).json()["id"]
    path = f"/v1/teams/{team}/members/{person.id}"
    for role in ("staff", "owner", "owner"):
        assert (await client.put(path, json={"role": role}, headers=owner.headers)).status_code == 200
    [mail] = await eventually(lambda: mailbox.mails(person.email, "You are invited to a team"), within=60)
    assert name not in str(mail)


async def test_an_invitation_that_is_repeated_or_of_another_team_is_no_second_mail(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    owner, person = await join("organizer"), await join()
    for name in ("Globe", "Rose"):
        team = (await client.post("/v1/teams", json={"name": name}, headers=owner.headers)).json()["id"]
        path = f"/v1/teams/{team}/members/{person.id}"
        for _ in range(2):
            assert (await client.put(path, json={"role": "staff"}, headers=owner.headers)).status_code == 200
            assert (await client.delete(path, headers=owner.headers)).status_code == 200
    invited = "SELECT count(*) FROM domain_events WHERE aggregate_id = %s AND type = 'user.invited_to_team'"
    assert superuser.execute(invited, [person.id]).fetchone() == (1,)


async def test_a_person_belongs_to_so_many_teams_at_most(client: httpx2.AsyncClient, join: Join) -> None:
    busy, other = await join("organizer"), await join("organizer")
    made = [await client.post("/v1/teams", json={"name": "Globe"}, headers=busy.headers) for _ in range(21)]
    assert [answer.status_code for answer in made] == [201] * 20 + [409]
    team = (await client.post("/v1/teams", json={"name": "Rose"}, headers=other.headers)).json()["id"]
    await client.put(f"/v1/teams/{team}/members/{busy.id}", json={"role": "staff"}, headers=other.headers)
    assert problem(await client.put(f"/v1/me/teams/{team}", headers=busy.headers)) == "wrong-state"
    first = made[0].json()["id"]
    await belongs(client, busy, first, other, "owner")
    assert (await client.delete(f"/v1/me/teams/{first}", headers=busy.headers)).status_code == 204
    busy = await again(client, busy)
    assert (await client.put(f"/v1/me/teams/{team}", headers=busy.headers)).status_code == 204


async def is_refused(client: httpx2.AsyncClient, person: Person) -> bool:
    return (await client.get("/v1/me", headers=person.headers)).status_code == 401


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found
