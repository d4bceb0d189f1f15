"""A mail confirms an address or resets a password, and no answer reveals whether an account exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from statistics import median
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from config.settings import Settings, secret
from tests.api.conftest import Join
from tests.api.mails import CHANGED, RESET, VERIFICATION, MailBox
from tests.api.people import log_in, problem
from tests.api.test_second_factor import enrol
from tests.api.test_sessions import can_refresh
from tests.pace import take_alike_long
from tests.scale import sample
from tests.waiting import eventually

NEW = "another battery staple"


async def ask(client: httpx2.AsyncClient, email: str) -> None:
    answer = await client.post("/v1/password-resets", json={"email": email})
    assert (answer.status_code, answer.content) == (202, b"")


async def reset(client: httpx2.AsyncClient, token: str, password: str = NEW) -> httpx2.Response:
    return await client.post("/v1/password-resets/confirm", json={"token": token, "password": password})


async def mailed_token(
    client: httpx2.AsyncClient, settings: Settings, superuser: psycopg.Connection, user_id: str
) -> str:
    """The newest token of the account, asked for as our mailer does: sooner than a mail."""
    asked = "SELECT data->>'token_id' FROM domain_events WHERE aggregate_id = %s AND data ? 'token_id'"
    [*_, (token_id,)] = superuser.execute(asked + " ORDER BY sequence", [user_id]).fetchall()
    internal = {"Authorization": f"Bearer {secret(settings.internal_token)}"}
    path = f"{settings.identity_address}/internal/v1/users/{user_id}/mail-tokens/{token_id}"
    answer = await client.get(path, headers=internal)
    return str(answer.json()["token"])


async def test_who_brings_back_the_mailed_token_has_proven_the_address(
    client: httpx2.AsyncClient, join: Join, mailbox: MailBox
) -> None:
    person = await join()
    assert (await client.get("/v1/me", headers=person.headers)).json()["email_verified"] is False
    [token] = await mailbox.tokens(person.email, VERIFICATION)
    assert (await client.post("/v1/email-verifications", json={"token": token})).status_code == 204
    assert (await client.get("/v1/me", headers=person.headers)).json()["email_verified"] is True
    again = await client.post("/v1/email-verifications", json={"token": token})
    assert (again.status_code, problem(again)) == (422, "token-not-valid")


async def test_a_token_is_good_for_its_own_purpose_only(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    person = await join()
    token = await mailed_token(client, settings, superuser, person.id)
    assert problem(await reset(client, token)) == "token-not-valid"
    await log_in(client, person.email, person.password)


async def test_a_forgotten_password_is_replaced_once_and_every_session_ends(
    client: httpx2.AsyncClient, join: Join, mailbox: MailBox
) -> None:
    person = await join()
    await ask(client, person.email.upper())
    [token] = await mailbox.tokens(person.email, RESET)
    assert problem(await reset(client, token, "short")) == "invalid-request"
    answers = await asyncio.gather(*(reset(client, token) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422]
    assert not await can_refresh(client, person)
    old = await client.post("/v1/sessions", json={"email": person.email, "password": person.password})
    assert problem(old) == "unauthenticated"
    await log_in(client, person.email, NEW)
    await eventually(lambda: mailbox.mails(person.email, CHANGED), within=60)


async def test_a_token_that_is_too_old_is_refused(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    person = await join()
    token = await mailed_token(client, settings, superuser, person.id)
    superuser.execute("UPDATE mail_tokens SET expires_at = now() WHERE user_id = %s", [person.id])
    refused = await client.post("/v1/email-verifications", json={"token": token})
    assert problem(refused) == "token-not-valid"


async def test_the_database_has_no_token_that_could_be_used(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    person = await join()
    token = await mailed_token(client, settings, superuser, person.id)
    rows = superuser.execute("SELECT t::text FROM mail_tokens t WHERE user_id = %s", [person.id]).fetchall()
    rows += superuser.execute("SELECT e::text FROM domain_events e WHERE aggregate_id = %s", [person.id]).fetchall()
    assert len(rows) == 3
    assert not [row for row in rows if token in row[0]]


async def test_only_our_own_processes_are_told_a_token(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    person, operator = await join(), await join("operator")
    query = "SELECT id FROM mail_tokens WHERE user_id = %s"
    [(token_id,)] = superuser.execute(query, [person.id]).fetchall()
    path = f"{settings.identity_address}/internal/v1/users/{person.id}/mail-tokens/{token_id}"
    for headers in ({}, person.headers, operator.headers):
        assert problem(await client.get(path, headers=headers)) == "unauthenticated"
    internal = {"Authorization": f"Bearer {secret(settings.internal_token)}"}
    other = await client.get(path.replace(person.id, operator.id), headers=internal)
    assert problem(other) == "not-found", "it is bound to its owner"


async def test_earlier_mails_stay_valid_until_one_of_them_is_used(
    client: httpx2.AsyncClient, join: Join, mailbox: MailBox, superuser: psycopg.Connection
) -> None:
    person = await join()
    await ask(client, person.email)
    [first] = await mailbox.tokens(person.email, RESET)
    await ask(client, person.email)
    superuser.execute("UPDATE mail_tokens SET created_at = now() - interval '1 hour' WHERE user_id = %s", [person.id])
    await ask(client, person.email)
    tokens = await mailbox.tokens(person.email, RESET, count=2)
    assert len(tokens) == 2
    assert (await reset(client, first)).status_code == 204, "the first mail is as good as the second"
    assert {problem(await reset(client, token)) for token in tokens} == {"token-not-valid"}


async def test_the_pause_between_mails_doubles_until_the_last_token_has_expired(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()

    async def mails_after(pause: timedelta) -> int:
        passes = "UPDATE mail_tokens SET created_at = created_at - %s WHERE user_id = %s"
        superuser.execute(passes, [pause, person.id])
        await ask(client, person.email)
        count = "SELECT count(*) FROM mail_tokens WHERE user_id = %s AND purpose = 'password_reset'"
        [(found,)] = superuser.execute(count, [person.id]).fetchall()
        return int(found)

    margin = timedelta(seconds=40)
    assert await mails_after(timedelta()) == 1
    for before, minutes in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
        assert await mails_after(timedelta(minutes=minutes) - margin) == before
        assert await mails_after(margin) == before + 1
    assert await mails_after(timedelta(days=1)) == 10
    assert await mails_after(timedelta(minutes=1)) == 11, "yesterday's mails do not count"


async def test_an_account_that_got_many_mails_of_an_earlier_version_gets_no_error(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    many = (
        "INSERT INTO mail_tokens (id, user_id, purpose, hash, expires_at) "
        "SELECT gen_random_uuid(), %s, 'password_reset', sha256(gen_random_uuid()::text::bytea), now() "
        "FROM generate_series(1, 1440)"
    )
    superuser.execute(many, [person.id])
    await ask(client, person.email)


async def test_a_changed_password_ends_the_tokens_of_earlier_mails(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    person = await join()
    await ask(client, person.email)
    token = await mailed_token(client, settings, superuser, person.id)
    change = {"old_password": person.password, "password": NEW}
    assert (await client.put("/v1/me/password", json=change, headers=person.headers)).status_code == 204
    assert problem(await reset(client, token, "yet another battery staple")) == "token-not-valid"


async def test_a_password_reset_does_not_reveal_whether_there_is_an_account(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    answers: list[tuple[Any, ...]] = []

    async def asks(email: str) -> None:
        answer = await client.post("/v1/password-resets", json={"email": email})
        headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
        answers.append((answer.status_code, answer.content, headers))

    await take_alike_long(lambda: asks(person.email), lambda: asks(f"{uuid4()}@example.test"))
    assert all(answer == answers[0] for answer in answers)


REVEALING: dict[str, tuple[str, dict[str, str]]] = {
    "a reset": ("/v1/password-resets", {}),
    "a log-in": ("/v1/sessions", {"password": "not the password"}),
    "a registration": ("/v1/users", {"password": "correct horse battery", "name": "Eve"}),
}


@pytest.mark.parametrize("kind", sample(list(REVEALING), 1, of="requests that may reveal an account"))
async def test_the_next_request_on_a_connection_does_not_reveal_whether_there_is_an_account(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection, kind: str
) -> None:
    person, (path, body) = await join(), REVEALING[kind]
    waits: list[float] = []
    a_while_ago = "UPDATE mail_tokens SET created_at = now() - interval '1 hour' WHERE user_id = %s"

    async def next_waits(email: str) -> float:
        superuser.execute(a_while_ago, [person.id])
        await client.post(path, json={"email": email, **body})
        started = monotonic()
        await client.get("/livez")
        return monotonic() - started

    async def median_of(emails: Callable[[], str]) -> float:
        return median([await next_waits(emails()) for _ in range(9)])

    for _ in range(8):
        known = await median_of(lambda: person.email)
        unknown = await median_of(lambda: f"{uuid4()}@example.test")
        waits += [known, unknown]
        if known < 2.5 * unknown:
            return
    raise AssertionError(f"after a known address the next request waits longer: {waits}")


@pytest.mark.parametrize("is_proven", [True, False], ids=["proven", "never proven"])
async def test_a_mail_opens_a_two_factor_account_only_if_its_address_was_unconfirmed(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection, is_proven: bool
) -> None:
    """Otherwise a person who registers with the address of another could lock them out for ever."""
    person = await join()
    if is_proven:
        body = {"token": await mailed_token(client, settings, superuser, person.id)}
        assert (await client.post("/v1/email-verifications", json=body)).status_code == 204
    await enrol(client, person)
    await ask(client, person.email)

    def is_sent() -> bool:
        query = "SELECT FROM mail_tokens WHERE user_id = %s AND purpose = 'password_reset'"
        return bool(superuser.execute(query, [person.id]).fetchall())

    await eventually(is_sent)
    assert (await reset(client, await mailed_token(client, settings, superuser, person.id))).status_code == 204
    answer = await client.post("/v1/sessions", json={"email": person.email, "password": NEW})
    assert answer.status_code == (401 if is_proven else 201)
    if is_proven:
        assert problem(answer) == "second-factor-required"


async def test_a_password_change_needs_the_old_one_and_ends_every_session(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    body = {"old_password": "not the old password", "password": NEW}
    assert problem(await client.put("/v1/me/password", json=body, headers=person.headers)) == "forbidden"
    body["old_password"] = person.password
    assert (await client.put("/v1/me/password", json=body, headers=person.headers)).status_code == 204
    assert not await can_refresh(client, person)
    await log_in(client, person.email, NEW)


async def test_no_session_of_the_old_password_outlives_a_reset_that_runs_beside_it(
    client: httpx2.AsyncClient, join: Join, mailbox: MailBox
) -> None:
    person = await join()
    await ask(client, person.email)
    [token] = await mailbox.tokens(person.email, RESET)
    body = {"email": person.email, "password": person.password}
    *answers, done = await asyncio.gather(
        *(client.post("/v1/sessions", json=body) for _ in range(8)), reset(client, token)
    )
    assert done.status_code == 204
    assert {answer.status_code for answer in answers} <= {201, 401}
    for answer in answers:
        if answer.status_code == 201:
            form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
            assert (await client.post("/v1/oauth/token", data=form)).status_code == 400
