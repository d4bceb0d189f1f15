"""Accounts, log-in, refresh, roles, and who may ask for contact data."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from api.identity.demo_accounts import PASSWORD
from config.settings import Settings, secret
from db.engine import open_engine
from tests.api.conftest import Join
from tests.api.mails import MailBox
from tests.api.people import log_in, problem
from tests.pace import take_alike_long


async def test_a_person_registers_logs_in_and_is_known(client: httpx2.AsyncClient) -> None:
    email = f"{uuid4()}@example.test"
    made = await client.post("/v1/users", json={"email": email, "password": "long enough to stand", "name": "  Ada  "})
    assert made.status_code == 201
    assert "password" not in made.text
    person = await log_in(client, email.upper(), "long enough to stand")
    me = await client.get("/v1/me", headers=person.headers)
    known = me.json()
    assert made.json() == {"id": known["id"], "email": email, "name": "Ada", "roles": ["customer"]}
    assert (known["email"], known["name"], known["roles"]) == (email, "Ada", ["customer"])


async def test_an_address_has_one_account_in_whatever_case(client: httpx2.AsyncClient) -> None:
    email = f"{uuid4()}@example.test"
    body = {"email": email, "password": "long enough to stand", "name": "Ada"}
    answers = await asyncio.gather(
        *(client.post("/v1/users", json=body | {"email": each}) for each in (email, email.upper()) * 3)
    )
    assert [answer.status_code for answer in answers] == [201] * 6
    person = await log_in(client, email, "long enough to stand")
    assert [answer.json()["id"] for answer in answers].count(person.id) == 1


async def test_registering_an_address_again_changes_nothing_and_is_answered_as_the_first_time(
    client: httpx2.AsyncClient, join: Join, mailbox: MailBox, superuser: psycopg.Connection
) -> None:
    person, other = await join(), f"{uuid4()}@example.test"
    superuser.execute("UPDATE users SET verified_at = now() WHERE id = %s", [person.id])
    body = {"password": "another battery staple", "name": "Eve"}
    again, first = [await client.post("/v1/users", json=body | {"email": email}) for email in (person.email, other)]
    assert [again.status_code, first.status_code] == [201, 201]
    for answer, email in ((again, person.email), (first, other)):
        assert answer.json() == {"id": answer.json()["id"], "email": email, "name": "Eve", "roles": ["customer"]}
    assert UUID(again.json()["id"]).version == UUID(first.json()["id"]).version
    assert again.headers.keys() == first.headers.keys()
    assert again.json()["id"] != person.id
    refused = await client.post("/v1/sessions", json={"email": person.email, "password": body["password"]})
    assert problem(refused) == "unauthenticated"
    assert (await log_in(client, person.email, person.password)).id == person.id
    [token] = await mailbox.tokens(person.email, "You already have an account")
    reset = {"token": token, "password": "a new battery staple"}
    assert (await client.post("/v1/password-resets/confirm", json=reset)).status_code == 204
    assert (await log_in(client, person.email, reset["password"])).id == person.id


async def test_a_registration_takes_as_long_whether_or_not_the_address_has_an_account(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()

    async def registers(email: str) -> None:
        body = {"email": email, "password": "another battery staple", "name": "Eve"}
        assert (await client.post("/v1/users", json=body)).status_code == 201

    await take_alike_long(lambda: registers(person.email), lambda: registers(f"{uuid4()}@example.test"))


async def test_the_id_of_a_registration_does_not_tell_whether_it_is_new(client: httpx2.AsyncClient, join: Join) -> None:
    for email in ((await join()).email, f"{uuid4()}@example.test"):
        body = {"email": email, "password": "another battery staple", "name": "Eve"}
        began = time.monotonic()
        answer = await client.post("/v1/users", json=body)
        took = time.monotonic() - began
        made = seconds_of(answer.json()["id"]) - seconds_of(answer.headers["x-request-id"])
        assert made < took / 2, "made at the begin, and not after what differs"


def seconds_of(uuid7: str) -> float:
    """When it was made."""
    return (UUID(uuid7).int >> 80) / 1000


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer_equally_fast(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    bodies: list[dict[str, Any]] = []

    async def tries(email: str) -> None:
        answer = await client.post("/v1/sessions", json={"email": email, "password": "not the password"})
        assert answer.status_code == 401
        body = answer.json()
        assert body.pop("request_id")
        bodies.append(body)

    await take_alike_long(lambda: tries(person.email), lambda: tries(f"{uuid4()}@example.test"))
    assert all(body == bodies[0] for body in bodies)


async def test_roles_come_with_the_next_token_and_only_operators_give_them(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    roles = {"roles": ["customer", "organizer"]}
    refused = await client.put(f"/v1/users/{person.id}/roles", json=roles, headers=person.headers)
    assert (refused.status_code, problem(refused)) == (403, "forbidden")
    operator = await log_in(client, "operator@example.test", PASSWORD)
    given = await client.put(f"/v1/users/{person.id}/roles", json=roles, headers=operator.headers)
    assert given.json()["roles"] == ["customer", "organizer"]
    unknown = await client.put(f"/v1/users/{uuid4()}/roles", json=roles, headers=operator.headers)
    assert problem(unknown) == "not-found"


async def test_a_person_may_change_their_name_but_neither_roles_nor_address(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    renamed = await client.patch("/v1/me", json={"name": "Grace"}, headers=person.headers)
    assert renamed.json()["name"] == "Grace"
    for body in ({"roles": ["operator"]}, {"name": "Grace", "id": str(uuid4())}, {"email": "a@example.test"}, {}):
        assert problem(await client.patch("/v1/me", json=body, headers=person.headers)) == "invalid-request"
    assert (await client.get("/v1/me", headers=person.headers)).json()["roles"] == ["customer"]


async def test_access_tokens_can_be_checked_with_the_published_keys(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join("organizer")
    published = (await client.get("/.well-known/jwks.json")).json()
    assert all("d" not in key for key in published["keys"])
    with pytest.warns(match="EdDSA"):
        token = jwt.decode(person.access_token, KeySet.import_key_set(published), algorithms=["EdDSA"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == person.id
    assert token.claims["roles"] == ["customer", "organizer"]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic dTpw", "bearer é", "Bearer eyJhbGciOiJub25lIn0.e30."],
)
async def test_an_authorization_without_an_access_token_is_401_with_a_challenge(
    client: httpx2.AsyncClient, header: str
) -> None:
    answer = await client.get("/v1/me", headers={b"Authorization": header.encode()})
    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_contact_data_is_for_our_own_processes_only(
    client: httpx2.AsyncClient, join: Join, settings: Settings
) -> None:
    person = await join("operator")
    path = f"{settings.identity_address}/internal/v1/users/{person.id}/contact"
    for given in ("", "Bearer wrong", "Bearer é", f"Bearer {person.access_token}"):
        answer = await client.get(path, headers={b"Authorization": given.encode()})
        assert problem(answer) == "unauthenticated"
    internal = {"Authorization": f"Bearer {secret(settings.internal_token)}"}
    told = {
        "email": person.email,
        "email_verified": False,
        "name": "Test Person",
        "language": "en",
        "channels": ["email"],
    }
    assert (await client.get(path, headers=internal)).json() == told
    assert problem(await client.get(path.replace(person.id, str(uuid4())), headers=internal)) == "not-found"
    assert '"/internal/' not in (await client.get("/openapi.json")).text


async def test_registering_tells_the_world_ids_and_nothing_else(settings: Settings, join: Join) -> None:
    person = await join()
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT type, data FROM domain_events WHERE aggregate_id = :id ORDER BY sequence"), {"id": person.id}
        )
        registered, asked = rows.all()
        assert tuple(registered) == ("user.registered", {"user_id": person.id})
        assert asked.type == "user.asked_for_verification"
        assert asked.data == {"user_id": person.id, "token_id": str(UUID(asked.data["token_id"]))}
    await engine.dispose()
