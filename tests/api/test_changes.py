"""Changes that are safe to send: `If-Match` protects what another has changed, a key creates one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.tokens import Principal
from config.settings import Settings
from db.catalogue import events
from db.engine import open_engine
from domain.catalogue import EventChange
from domain.identity import Role, TeamRole
from tests.api.conftest import ByToken, Join
from tests.api.people import Person, problem
from tests.api.test_audit_log import entries
from tests.scale import FULL
from tests.tokens import access_tokens
from tests.waiting import eventually

Overtake = Callable[[AsyncConnection, EventChange], Awaitable[object]]


async def test_the_first_of_two_changes_of_a_profile_is_not_lost(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    tag = (await client.get("/v1/me", headers=person.headers)).headers["etag"]
    guarded = person.headers | {"If-Match": tag}
    first, second = [
        await client.patch("/v1/me", json={"name": name}, headers=guarded) for name in ("Grace", "Barbara")
    ]
    assert (first.status_code, problem(second)) == (200, "precondition-failed")
    assert second.status_code == 412
    now = await client.get("/v1/me", headers=person.headers)
    assert now.json()["name"] == "Grace"
    assert now.headers["etag"] == first.headers["etag"] != tag
    later = await client.patch("/v1/me", json={"name": "B"}, headers=person.headers | {"If-Match": now.headers["etag"]})
    assert later.json()["name"] == "B"


IF_MATCH: dict[str | None, int] = {
    None: 200,
    "*": 200,
    "{tag}": 200,
    '"other", {tag}': 200,
    "W/{tag}": 412,
    '"other"': 412,
    "other": 412,
    "": 412,
}


async def test_if_match_compares_strongly_and_means_one_of_its_tags(client: httpx2.AsyncClient, join: Join) -> None:
    person, wrong = await join(), list[str]()
    for given, status in IF_MATCH.items():
        read, name = await client.get("/v1/me", headers=person.headers), str(uuid4())
        header = {} if given is None else {"If-Match": given.replace("{tag}", read.headers["etag"])}
        answer = await client.patch("/v1/me", json={"name": name}, headers=person.headers | header)
        kept = (await client.get("/v1/me", headers=person.headers)).json()["name"]
        if (answer.status_code, kept) != (status, name if status == 200 else read.json()["name"]):
            wrong.append(f"{given}: {answer.status_code}, {kept}")
    assert not wrong, "\n".join(wrong)


async def team_of(client: httpx2.AsyncClient, owner: Person, name: str = "Globe", **headers: str) -> httpx2.Response:
    return await client.post("/v1/teams", json={"name": name}, headers=owner.headers | headers)


async def test_a_member_is_not_changed_by_an_owner_who_has_read_an_older_team(
    client: httpx2.AsyncClient, join: Join
) -> None:
    owner, other = await join("organizer"), await join()
    team = await team_of(client, owner)
    path = f"/v1/teams/{team.json()['id']}/members/{other.id}"
    read = (await client.get(f"/v1/teams/{team.json()['id']}", headers=owner.headers)).headers["etag"]
    assert read == team.headers["etag"]
    guarded = owner.headers | {"If-Match": read}
    assert (await client.put(path, json={"role": "staff"}, headers=guarded)).status_code == 200
    assert problem(await client.put(path, json={"role": "owner"}, headers=guarded)) == "precondition-failed"
    assert problem(await client.delete(path, headers=guarded)) == "precondition-failed"
    now = await client.get(f"/v1/teams/{team.json()['id']}", headers=owner.headers)
    assert [each["role"] for each in now.json()["members"]] == ["owner", "staff"]


async def test_an_event_is_not_published_or_cancelled_from_an_older_state(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any]
) -> None:
    organizer = by_token("organizer")
    drafted = await client.post("/v1/events", json=new_event, headers=organizer.headers)
    path, guarded = f"/v1/events/{drafted.json()['id']}", organizer.headers | {"If-Match": drafted.headers["etag"]}
    published = await client.post(f"{path}/publish", headers=guarded)
    assert published.status_code == 200
    for command in ("cancel", "cancel?dry_run=true", "publish"):
        assert problem(await client.post(f"{path}/{command}", headers=guarded)) == "precondition-failed"
    now = await client.get(path)
    assert (now.json()["status"], now.headers["etag"]) == ("published", published.headers["etag"])


async def test_of_a_publish_and_a_cancel_of_the_same_draft_one_is_done(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any]
) -> None:
    organizer = by_token("organizer")
    for _ in range(8 if FULL else 3):
        drafted = await client.post("/v1/events", json=new_event, headers=organizer.headers)
        event = drafted.json()["id"]
        path, guarded = f"/v1/events/{event}", organizer.headers | {"If-Match": drafted.headers["etag"]}
        publish, cancel = await asyncio.gather(
            *(client.post(f"{path}/{command}", headers=guarded) for command in ("publish", "cancel"))
        )
        now = (await client.get(path, headers=organizer.headers)).json()
        assert now["version"] == 2
        done, refused = (cancel, publish) if now["status"] == "cancelled" else (publish, cancel)
        assert (done.status_code, problem(refused)) == (200, "precondition-failed")


async def begin(connection: AsyncConnection, change: EventChange) -> None:
    await connection.execute(text("UPDATE events SET starts_at = now() WHERE id = :id"), {"id": change.event_id})


_PUBLICATION = ["event.published", "event.publication-refused"]
_OVERTAKEN: list[tuple[str, Overtake, str, list[str]]] = [
    ("publish", events.mark_cancelled, "precondition-failed", _PUBLICATION),
    ("publish", begin, "wrong-state", _PUBLICATION),
    ("cancel", events.mark_published, "precondition-failed", ["event.cancelled", "event.cancellation-refused"]),
]


@pytest.mark.parametrize(("command", "overtake", "refusal", "logged"), _OVERTAKEN)
async def test_the_audit_log_says_that_a_change_which_another_overtook_was_refused(
    command: str,
    overtake: Overtake,
    refusal: str,
    logged: list[str],
    client: httpx2.AsyncClient,
    by_token: ByToken,
    new_event: dict[str, Any],
    superuser: psycopg.Connection,
    settings: Settings,
) -> None:
    """The call waits for the log, which is between its comparison of `If-Match` and the workflow's."""
    organizer, actions = by_token("organizer"), list[str]()
    catalogue = open_engine(settings.database_url("catalogue"), pool_size=2, serves_callers=False)
    async with catalogue.connect():
        pass  # so that the log, for which other tests wait, too, is locked for a moment only
    for _ in range(20):
        drafted = await client.post("/v1/events", json=new_event, headers=organizer.headers)
        event, guarded = drafted.json()["id"], organizer.headers | {"If-Match": drafted.headers["etag"]}
        with superuser.transaction():
            superuser.execute("SELECT pg_advisory_xact_lock(hashtext('audit-log'))")
            overtaken = asyncio.create_task(client.post(f"/v1/events/{event}/{command}", headers=guarded))
            await eventually(lambda: superuser.execute(_WAITS_FOR_THE_LOG).fetchone())
            async with catalogue.begin() as connection:
                await overtake(connection, EventChange(event_id=UUID(event)))
        assert problem(await overtaken) == refusal
        actions = [action for _, _, action in entries(superuser, f"event/{event}")]
        if actions != ["event.drafted"]:  # else another test's call waited for the log, and ours came after the change
            break
    await catalogue.dispose()
    assert actions == ["event.drafted", *logged]


_WAITS_FOR_THE_LOG = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@pytest.fixture
def creations(new_event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"/v1/events": new_event, "/v1/teams": {"name": "Globe"}}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/teams"])
async def test_one_key_creates_one_thing_however_often_it_is_sent(
    client: httpx2.AsyncClient, join: Join, creations: dict[str, dict[str, Any]], path: str
) -> None:
    organizer, other = await join("organizer"), await join("organizer")
    key = {"Idempotency-Key": str(uuid4())}

    def post(person: Person, headers: dict[str, str] = key, **more: Any) -> Any:
        return client.post(path, json=creations[path] | more, headers=person.headers | headers)

    answers = await asyncio.gather(*(post(organizer) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.headers["idempotency-key"] for answer in answers} == set(key.values())
    (created,) = {answer.json()["id"] for answer in answers}
    assert answers[0].headers["location"] == f"{path}/{created}"
    assert problem(await post(organizer, name="Another")) == "idempotency-key-reused"
    assert (await post(other)).json()["id"] != created, "a key is its user's own"
    assert (await post(organizer, {})).json()["id"] != created, "without a key each call creates"


async def test_a_repeated_key_does_not_show_a_draft_to_a_person_who_has_left_the_team(
    client: httpx2.AsyncClient, settings: Settings, new_event: dict[str, Any]
) -> None:
    user_id, team, key = uuid4(), uuid4(), str(uuid4())

    async def post(teams: dict[UUID, TeamRole]) -> httpx2.Response:
        caller = Principal(user_id, frozenset({Role.ORGANIZER}), teams=teams)
        token = access_tokens(settings).issue(caller)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return await client.post("/v1/events", json=new_event | {"team_id": str(team)}, headers=headers)

    owner, staff, gone = [await post(teams) for teams in ({team: TeamRole.OWNER}, {team: TeamRole.STAFF}, {})]
    assert (owner.status_code, owner.json()) == (201, staff.json())
    assert (gone.status_code, problem(gone)) == (404, "not-found")


async def test_a_refused_draft_leaves_its_key_free(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any]
) -> None:
    organizer = by_token("organizer")
    headers = organizer.headers | {"Idempotency-Key": str(uuid4())}
    past = new_event | {"starts_at": "2020-05-01T19:30:00Z"}
    assert problem(await client.post("/v1/events", json=past, headers=headers)) == "invalid-request"
    assert (await client.post("/v1/events", json=new_event, headers=headers)).status_code == 201
