"""The audit log has every actor and action, and no one can change it unnoticed, not even a superuser."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from psycopg import errors
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from api.identity.demo_accounts import PASSWORD
from cli.audit_log import NAMED, audit_log_app
from cli.operate import booking_app, late_payment_app
from config.settings import Settings, secret
from db.identity.audit_log import AuditLog
from domain.identity import Role, Scope
from stack import Stack
from tests.api.conftest import ByToken, Join
from tests.api.partners import bearer, register
from tests.api.people import Person, log_in, problem
from tests.api.test_boundaries import serving
from tests.api.test_command_line import seatwright as seatwright_process
from tests.api.test_second_factor import challenged, complete, enrol
from tests.command_line import seatwright
from tests.http_client import REPEATED
from tests.platform_client import PlatformClient


def entries(superuser: psycopg.Connection, object: str) -> list[tuple[Any, ...]]:
    """What is noted about an object; once where a call that the client repeated has noted it, too."""
    query = "SELECT actor, roles, action, request_id FROM audit_log WHERE object = %s ORDER BY number"
    found = [(noted, request) for *noted, request in superuser.execute(query, [object]).fetchall()]
    later = [[each for each, _ in found[number:]] for number in range(1, len(found) + 1)]
    return [
        tuple(noted)
        for (noted, request), rest in zip(found, later, strict=True)
        if not (request in REPEATED and noted in rest)
    ]


def user(person: Person) -> str:
    return f"user/{person.id}"


async def test_what_happens_to_an_account_is_noted_with_who_did_it(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    operator = await log_in(client, "operator@example.test", PASSWORD)
    given, path = {"roles": ["customer", "organizer"]}, f"/v1/users/{person.id}/roles"
    assert (await client.put(path, json=given, headers=operator.headers)).status_code == 200
    person = await log_in(client, person.email, person.password)
    refused = await client.put(path, json={"roles": []}, headers=person.headers)
    assert problem(refused) == "forbidden"
    await client.patch("/v1/me", json={"name": "Grace"}, headers=person.headers)
    assert entries(superuser, user(person)) == [
        (user(person), "customer", "account.registered"),
        (user(operator), "customer,operator", "roles.set:customer,organizer"),
        (user(person), "customer,organizer", "profile.changed"),
    ]


async def test_support_reading_a_booking_is_recorded_and_buyers_reading_is_not(
    client: httpx2.AsyncClient, platform: PlatformClient, by_token: ByToken, superuser: psycopg.Connection
) -> None:
    event = await platform.event()
    buyer = platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await buyer.booking(booking)
    assert entries(superuser, f"booking/{booking}") == []
    support, stranger = by_token("support"), by_token()
    assert problem(await client.get(f"/v1/bookings/{booking}", headers=stranger.headers)) == "not-found"
    for path in (f"/v1/bookings/{booking}", f"/v1/bookings/{booking}/timeline"):
        assert (await client.get(path, headers=support.headers)).status_code == 200
    assert entries(superuser, f"booking/{booking}") == [
        (user(support), "customer,support", "booking.looked-at"),
        (user(support), "customer,support", "booking.timeline-read"),
    ]


async def test_support_reading_a_draft_is_recorded_and_reading_public_events_is_not(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any], superuser: psycopg.Connection
) -> None:
    organizer, support = by_token("organizer"), by_token("support")
    draft, event = [
        (await client.post("/v1/events", json=new_event, headers=organizer.headers)).json()["id"] for _ in range(2)
    ]
    assert (await client.post(f"/v1/events/{event}/publish", headers=organizer.headers)).status_code == 200
    for each in (draft, event):
        for person in (organizer, support):
            assert (await client.get(f"/v1/events/{each}", headers=person.headers)).status_code == 200
    looked = [
        [actor for actor, _, action in entries(superuser, f"event/{each}") if action == "event.looked-at"]
        for each in (draft, event)
    ]
    assert looked == [[user(support)], []]


async def test_an_operators_look_at_a_team_of_others_is_in_the_audit_log_and_a_members_is_not(
    client: httpx2.AsyncClient, join: Join, by_token: ByToken, superuser: psycopg.Connection
) -> None:
    owner, operator = await join("organizer"), by_token("operator")
    team = (await client.post("/v1/teams", json={"name": "Globe"}, headers=owner.headers)).json()["id"]
    for person in (owner, operator):
        answer = await client.get(f"/v1/teams/{team}", headers=person.headers)
        assert answer.status_code == 200, answer.text
    found = entries(superuser, f"team/{team}")
    assert [(actor, action) for actor, _, action in found] == [
        (user(owner), "team.made"),
        (user(operator), "team.looked-at"),
    ]


async def test_what_an_organizer_does_to_an_event_is_noted(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any], superuser: psycopg.Connection
) -> None:
    organizer = by_token("organizer")
    event = (await client.post("/v1/events", json=new_event, headers=organizer.headers)).json()["id"]
    for verb in ("publish", "cancel"):
        assert (await client.post(f"/v1/events/{event}/{verb}", headers=organizer.headers)).status_code == 200
    actions = [action for _, _, action in entries(superuser, f"event/{event}")]
    assert actions == ["event.drafted", "event.published", "event.cancelled"]


@pytest.mark.parametrize(
    ("policy", "is_waived", "action"),
    [({"until_hours": None}, True, "refund.policy-waived"), ({}, False, "refund.ordered")],
)
async def test_a_refund_by_staff_is_recorded_with_its_reason(
    client: httpx2.AsyncClient,
    platform: PlatformClient,
    join: Join,
    stack_env: dict[str, str],
    superuser: psycopg.Connection,
    policy: dict[str, Any],
    is_waived: bool,
    action: str,
) -> None:
    buyer, support = platform.new_buyer(), await join("support")
    booking = (await buyer.bought(await platform.event(refund_policy=policy), "A-1-1"))["id"]
    body = {"reason": "The hall was too loud.", "waive_policy": is_waived}
    answer = await client.post(f"/v1/bookings/{booking}/refund", json=body, headers=support.headers)
    assert answer.status_code == 202, answer.text
    assert entries(superuser, f"booking/{booking}") == [
        (user(support), "customer,support", "booking.looked-at"),
        (user(support), "customer,support", action),
    ]
    shown = await seatwright(audit_log_app, stack_env, "show", f"booking/{booking}")
    [line] = [line for line in shown.splitlines() if f"  {action}  " in line]
    assert '"reason":"The hall was too loud."' in line


async def test_an_operators_dry_run_is_recorded_and_a_cancellation_needs_a_reason(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any], superuser: psycopg.Connection
) -> None:
    organizer, operator = by_token("organizer"), by_token("operator")
    event = (await client.post("/v1/events", json=new_event, headers=organizer.headers)).json()["id"]
    path = f"/v1/events/{event}"
    assert (await client.post(f"{path}/publish", headers=organizer.headers)).status_code == 200
    for person in (organizer, operator):
        answer = await client.post(f"{path}/cancel?dry_run=true", headers=person.headers)
        assert answer.status_code == 200, answer.text
    refused = await client.post(f"{path}/cancel", headers=operator.headers)
    assert (refused.status_code, problem(refused), refused.json()["field"]) == (422, "invalid-request", "reason")
    assert (await client.get(path)).json()["status"] == "published"
    assert [(actor, action) for actor, _, action in entries(superuser, f"event/{event}")] == [
        (user(organizer), "event.drafted"),
        (user(organizer), "event.published"),
        (user(operator), "event.cancellation-estimated"),
    ]


async def test_where_it_was_done_from_is_kept_but_not_readable(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    client.headers["User-Agent"] = "Canary/1.0"
    person = await join()
    [(origin, request_id)] = superuser.execute(
        "SELECT origin, request_id FROM audit_log WHERE object = %s", [user(person)]
    ).fetchall()
    assert request_id
    assert len(origin) > 12 + 16
    assert b"Canary" not in origin


async def test_a_failed_log_in_is_recorded_with_its_origin_and_shown_to_the_owner(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    body = {"email": person.email, "password": "a wrong guess"}
    guess = await client.post("/v1/sessions", json=body, headers={"User-Agent": "Guesser/1.0"})
    assert guess.status_code == 401
    await enrol(client, person)
    assert (await complete(client, await challenged(client, person), "000000x")).status_code == 401
    change = {"old_password": "a wrong guess", "password": "another battery staple"}
    assert (await client.put("/v1/me/password", json=change, headers=person.headers)).status_code == 403
    farewell = {"password": person.password, "code": "000000x"}
    assert (await client.request("DELETE", "/v1/me", json=farewell, headers=person.headers)).status_code == 403

    def refused() -> list[tuple[str, str]]:
        found = entries(superuser, user(person))
        return [(actor, action) for actor, _, action in found if action.endswith(".refused")]

    assert refused() == [  # each is there before its answer, so that none is lost
        ("nobody", "log-in.refused"),
        ("nobody", "code.refused"),
        (user(person), "password.refused"),
        (user(person), "code.refused"),
    ]
    history = (await client.get("/v1/me/export", headers=person.headers)).json()["history"]
    assert "Guesser/1.0" in {deed["user_agent"] for deed in history if deed["action"] == "log-in.refused"}


async def test_a_guess_at_an_account_that_there_is_not_leaves_nothing(
    client: httpx2.AsyncClient, superuser: psycopg.Connection
) -> None:
    request = {"X-Request-Id": str(uuid4())}
    body = {"email": f"{uuid4()}@example.test", "password": "a wrong guess"}
    assert (await client.post("/v1/sessions", json=body, headers=request)).status_code == 401
    query = "SELECT FROM audit_log WHERE request_id = %s"
    assert superuser.execute(query, [request["X-Request-Id"]]).fetchall() == []


async def test_a_partners_own_actions_are_recorded_as_its_own_with_their_origin(
    client: httpx2.AsyncClient,
    settings: Settings,
    new_event: dict[str, Any],
    superuser: psycopg.Connection,
    stack_env: dict[str, str],
) -> None:
    partner = await register(
        settings, client, grants={"client_credentials"}, scopes={Scope.EVENTS_WRITE}, roles={Role.ORGANIZER}
    )
    tokens = (await partner.post("token", grant_type="client_credentials")).json()
    event = (await client.post("/v1/events", json=new_event, headers=bearer(tokens))).json()["id"]
    assert entries(superuser, f"event/{event}") == [(f"client/{partner.id}", "organizer", "event.drafted")]
    shown = await seatwright(audit_log_app, stack_env, "show", f"client/{partner.id}")
    assert '"address":"127.0.0.1"' in shown


async def test_an_operator_reads_actions_with_their_origin_until_the_person_is_erased(
    client: httpx2.AsyncClient, join: Join, stack_env: dict[str, str], superuser: psycopg.Connection
) -> None:
    client.headers["User-Agent"] = "Canary/1.0"
    person = await join()

    async def shown() -> list[str]:
        said = await seatwright(audit_log_app, stack_env, "show", user(person))
        return [line for line in said.splitlines() if "  account.registered  " in line]

    [line] = await shown()
    assert user(person) in line
    assert '{"user_agent":"Canary/1.0","address":"127.0.0.1"}' in line
    body = {"password": person.password}
    assert (await client.request("DELETE", "/v1/me", json=body, headers=person.headers)).status_code == 204
    [line] = await shown()
    assert line.endswith("{}")
    readings = [actor for actor, _, action in entries(superuser, user(person)) if action == "audit-log.read"]
    assert len(readings) == 2
    assert readings[0].startswith("shell/")


async def test_many_at_once_make_one_chain(
    client: httpx2.AsyncClient, join: Join, stack_env: dict[str, str], superuser: psycopg.Connection
) -> None:
    people = [await join() for _ in range(2)]
    names = [f"Name {number}" for number in range(10)]
    answers = await asyncio.gather(
        *(client.patch("/v1/me", json={"name": name}, headers=each.headers) for name in names for each in people)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert [len(entries(superuser, user(each))) for each in people] == [11, 11]
    [(first,)] = superuser.execute("SELECT encode(hash, 'hex') FROM audit_log WHERE number = 1").fetchall()
    said = await seatwright(audit_log_app, stack_env, "verify", "--head", f"1:{first}")
    assert said.startswith("holds: ")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log", "DROP TABLE audit_log"],
)
def test_the_application_cannot_change_it(settings: Settings, statement: str) -> None:
    url = settings.database_url("identity").replace("+psycopg", "")
    with psycopg.connect(url) as application, pytest.raises(errors.InsufficientPrivilege):
        application.execute(statement)


def test_its_owner_who_may_migrate_cannot_change_it_by_mistake(settings: Settings) -> None:
    url = settings.database_url("identity", owner=True).replace("+psycopg", "")
    with psycopg.connect(url) as owner, pytest.raises(errors.RestrictViolation):
        owner.execute("UPDATE audit_log SET action = 'x'")


async def test_what_cannot_be_noted_is_not_done(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any], settings: Settings
) -> None:
    organizer, support = by_token("organizer"), by_token("support")
    event = (await client.post("/v1/events", json=new_event, headers=organizer.headers)).json()["id"]
    unreachable = settings.model_copy(update={"identity_url": "http://127.0.0.1:1"})
    async with serving(unreachable, "catalogue") as alone:
        for path, body in (("/v1/events", new_event), (f"/v1/events/{event}/publish", None)):
            answer = await alone.post(path, json=body, headers=organizer.headers)
            assert (answer.status_code, problem(answer)) == (503, "unavailable")
    drafted = await client.get(f"/v1/events/{event}", headers=support.headers)
    assert drafted.json()["status"] == "draft"


async def test_only_our_own_processes_may_write_it(
    client: httpx2.AsyncClient, by_token: ByToken, settings: Settings
) -> None:
    operator = by_token("operator")
    deed: dict[str, object] = {
        "user_id": operator.id,
        "roles": [],
        "action": "x",
        "object": "x",
        "origin": "{}",
        "request_id": None,
    }
    for headers in ({}, operator.headers):
        path = f"{settings.identity_address}/internal/v1/audit-log"
        answer = await client.post(path, json=deed, headers=headers)
        assert problem(answer) == "unauthenticated"


TAMPERING = {
    "another action": "UPDATE audit_log SET action = 'nothing' WHERE number = :it",
    "another actor": "UPDATE audit_log SET actor = 'user/somebody' WHERE number = :it",
    "another time": "UPDATE audit_log SET at = at + interval '1 microsecond' WHERE number = :it",
    "another origin": "UPDATE audit_log SET origin = NULL WHERE number = :it",
    "gone": "DELETE FROM audit_log WHERE number = :it",
    "a hash made without the key": """
        WITH forged AS (UPDATE audit_log SET action = 'x', hash = sha256('x') WHERE number = :it RETURNING hash)
        UPDATE audit_log SET previous = forged.hash FROM forged WHERE number = :it + 1
    """,
}


@pytest.fixture
async def tampering(settings: Settings) -> AsyncIterator[AsyncConnection]:
    """A transaction in which everything is allowed; it is rolled back, so that no other connection sees it.

    Nor does it see what others record at the same time, which would not continue a chain that was cut off here.
    """
    url = make_url(secret(settings.postgres_admin_dsn)).set(
        drivername="postgresql+psycopg", database="seatwright_identity"
    )
    engine = create_async_engine(url, isolation_level="REPEATABLE READ")
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))  # no triggers
        yield connection
        await connection.rollback()
    await engine.dispose()


def log_of(settings: Settings) -> AuditLog:
    return AuditLog(secret(settings.audit_log_secret))


async def test_tampering_without_the_key_breaks_the_chain_at_the_changed_entry(
    join: Join, settings: Settings, superuser: psycopg.Connection, tampering: AsyncConnection
) -> None:
    person = await join()
    await join()
    query = "SELECT min(number) FROM audit_log WHERE object = %s"
    [(it,)] = superuser.execute(query, [user(person)]).fetchall()
    assert (await log_of(settings).walk(tampering)).broken is None
    for name, statement in TAMPERING.items():
        change = await tampering.begin_nested()
        await tampering.execute(text(statement), {"it": it})
        walk = await log_of(settings).walk(tampering)
        await change.rollback()
        assert (walk.broken, walk.head.number if walk.head else 0) == (it, it - 1), name


async def test_who_wrote_down_a_link_sees_that_the_end_was_cut_off(
    join: Join, settings: Settings, tampering: AsyncConnection
) -> None:
    await join()
    log = log_of(settings)
    head = (await log.walk(tampering)).head
    assert head
    assert await log.has(tampering, f"{head.number}:{head.hash}")
    await tampering.execute(text("DELETE FROM audit_log WHERE number >= :it"), {"it": head.number})
    walk = await log.walk(tampering)
    assert walk.broken is None, "a shorter chain is a chain"
    assert not await log.has(tampering, f"{head.number}:{head.hash}")


async def test_the_command_says_where_it_is_broken_and_exits_with_1(
    join: Join, stack: Stack, stack_env: dict[str, str]
) -> None:
    await join()
    forged = {"SEATWRIGHT_AUDIT_LOG_SECRET": "forged"}
    other = await asyncio.to_thread(seatwright_process, stack, "audit-log", "verify", **forged)
    assert (other.returncode, other.stderr) == (1, "broken at entry 1: it is not as it was written\n")
    cut = await seatwright(audit_log_app, stack_env, "verify", "--head", f"1:{'0' * 64}", exit_code=1)
    assert "entries at its end are missing" in cut


async def test_an_operators_command_is_noted_before_it_is_carried_out(
    stack_env: dict[str, str], superuser: psycopg.Connection
) -> None:
    booking = uuid4()
    await seatwright(booking_app, stack_env, "operate", str(booking), "retry", exit_code=2)
    [(actor, roles, action)] = entries(superuser, f"booking/{booking}")
    assert actor.startswith("shell/")
    assert (roles, action) == ("", "booking.retry")


async def test_what_is_no_actor_or_object_is_refused_and_not_written_into_the_log(
    stack_env: dict[str, str], superuser: psycopg.Connection
) -> None:
    for odd in ("someone@example.com", "user/someone@example.com", "late-payment/a@example.com", "Ada Lovelace", ""):
        await seatwright(audit_log_app, stack_env, "show", odd, exit_code=2)
        assert entries(superuser, odd) == []
    await seatwright(late_payment_app, stack_env, "operate", "a@example.com", "retry", exit_code=2)
    assert entries(superuser, "late-payment/a@example.com") == []


async def test_every_actor_and_object_that_the_log_has_can_be_shown(
    stack_env: dict[str, str], superuser: psycopg.Connection
) -> None:
    found = superuser.execute("SELECT actor FROM audit_log UNION SELECT object FROM audit_log").fetchall()
    named = [f"{kind}/{uuid4()}" for kind in ("user", "client", "team", "late-payment")] + ["service/search", "users"]
    assert not [name for (name,) in found if not NAMED.fullmatch(name)]
    for name in (*named, "late-payment/pi_3Q", "payloads/12", f"key/{'-a' * 20}", "nobody"):
        await seatwright(audit_log_app, stack_env, "show", name)


@pytest.mark.parametrize(("number", "name"), [(0, "root"), (54321, "54321")])
async def test_the_actor_of_a_command_is_the_owner_of_its_process_whatever_a_variable_says(
    stack_env: dict[str, str],
    superuser: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    name: str,
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: number)  # 54321: as in a container whose user has no name
    booking = f"booking/{uuid4()}"
    for variable in ("LOGNAME", "USER"):
        monkeypatch.setenv(variable, "mallory")
    await seatwright(audit_log_app, stack_env, "show", booking)
    assert entries(superuser, booking) == [(f"shell/{name}", "", "audit-log.read")]
