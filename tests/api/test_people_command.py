"""The operator's commands for people work, and the audit log records them."""

from __future__ import annotations

from uuid import uuid4

import httpx2
import psycopg

from cli.people import people_app
from tests.api.conftest import Join
from tests.api.people import log_in
from tests.api.test_audit_log import entries
from tests.api.test_second_factor import challenged, enrol
from tests.command_line import seatwright


async def test_the_first_operator_is_made_where_there_is_none(
    client: httpx2.AsyncClient, join: Join, stack_env: dict[str, str], superuser: psycopg.Connection
) -> None:
    person, other = await join(), await join()
    await seatwright(people_app, stack_env, "roles", person.id, "--role", "customer", "--role", "operator")
    operator = await log_in(client, person.email, person.password)
    path, roles = f"/v1/users/{other.id}/roles", {"roles": ["customer", "organizer"]}
    assert (await client.put(path, json=roles, headers=operator.headers)).status_code == 200
    [(actor, action)] = [
        (actor, action) for actor, _, action in entries(superuser, f"user/{person.id}") if "roles" in action
    ]
    assert actor.startswith("shell/")
    assert action == "roles.set:customer,operator"


async def test_an_operator_lets_a_person_without_phone_and_recovery_codes_log_in_again(
    client: httpx2.AsyncClient, join: Join, stack_env: dict[str, str], superuser: psycopg.Connection
) -> None:
    person = await join()
    await enrol(client, person)
    await challenged(client, person)
    await seatwright(people_app, stack_env, "forget-second-factor", person.id)
    await log_in(client, person.email, person.password)
    assert "second-factor.removed" in {action for _, _, action in entries(superuser, f"user/{person.id}")}


async def test_an_unknown_person_is_reported_as_unknown(stack_env: dict[str, str]) -> None:
    for arguments in (("roles", str(uuid4()), "--role", "support"), ("forget-second-factor", str(uuid4()))):
        assert "there is no person" in await seatwright(people_app, stack_env, *arguments, exit_code=1)
