"""People log in however their keyboard composes letters, and whichever spelling of their address they type."""

from __future__ import annotations

from uuid import uuid4

import httpx2
import psycopg
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from api.identity.passwords import check_password, hash_password
from tests.api.mails import RESET, MailBox
from tests.api.people import log_in, problem
from tests.waiting import eventually

COMPOSED, DECOMPOSED = "\u00dcberraschung-2030!", "U\u0308berraschung-2030!"
WIDE_SPACE, SPACE = "drei\u00a0Worte\u00a0mehr", "drei Worte mehr"


def _old_hash(password: str) -> str:
    """As versions made it that hashed what was typed."""
    return Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(password)


@pytest.mark.parametrize("typed", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("chosen", [COMPOSED, DECOMPOSED])
async def test_a_password_fits_in_each_composition(chosen: str, typed: str) -> None:
    assert (await check_password(typed, await hash_password(chosen))) == (True, None)


async def test_a_password_fits_with_another_kind_of_space() -> None:
    assert (await check_password(SPACE, await hash_password(WIDE_SPACE))).fits
    assert (await check_password(WIDE_SPACE, await hash_password(SPACE))).fits


@pytest.mark.parametrize("typed", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("chosen", [COMPOSED, DECOMPOSED])
async def test_a_hash_of_an_earlier_version_still_fits_and_is_replaced(chosen: str, typed: str) -> None:
    fits, better = await check_password(typed, _old_hash(chosen))
    assert fits
    assert (better is None) == (chosen == COMPOSED)
    if better:
        assert (await check_password(COMPOSED, better)) == (True, None)


@pytest.mark.parametrize("typed", ["Uberraschung-2030!", "überraschung-2030!", COMPOSED + " "])
async def test_another_password_does_not_fit(typed: str) -> None:
    assert not (await check_password(typed, await hash_password(COMPOSED))).fits
    assert not (await check_password(typed, _old_hash(DECOMPOSED))).fits
    assert not (await check_password(typed, None)).fits


async def test_a_password_is_long_enough_as_it_is_stored(client: httpx2.AsyncClient) -> None:
    body = {"email": f"{uuid4()}@example.test", "password": "u\u0308o\u0308abcdefgh", "name": "Ada"}
    answer = await client.post("/v1/users", json=body)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")


@pytest.mark.parametrize(
    ("registered", "typed"),
    [
        ("bob-{}@xn--bcher-kva.example", "bob-{}@xn--bcher-kva.example"),
        ("bob-{}@xn--bcher-kva.example", "BOB-{}@b\u00fccher.example"),
        ("j\u00fcrgen-{}@example.test", "ju\u0308rgen-{}@example.test"),
        ("ju\u0308rgen-{}@example.test", " j\u00fcrgen-{}@example.test "),
    ],
)
async def test_each_spelling_of_an_address_logs_in_and_gets_a_reset(
    client: httpx2.AsyncClient, superuser: psycopg.Connection, registered: str, typed: str
) -> None:
    tag = uuid4().hex
    body = {"email": registered.format(tag), "password": COMPOSED, "name": "Bob"}
    assert (await client.post("/v1/users", json=body)).status_code == 201
    person = await log_in(client, typed.format(tag), DECOMPOSED)
    await client.post("/v1/password-resets", json={"email": typed.format(tag)})
    query = "SELECT count(*) FROM mail_tokens WHERE user_id = %s AND purpose = 'password_reset'"

    async def is_sent() -> bool:
        return superuser.execute(query, [person.id]).fetchone() == (1,)

    assert await eventually(is_sent, within=30)


async def test_mail_reaches_an_international_domain(client: httpx2.AsyncClient, mailbox: MailBox) -> None:
    email = f"bob-{uuid4().hex}@bücher.example"
    assert (
        await client.post("/v1/users", json={"email": email, "password": COMPOSED, "name": "Bob"})
    ).status_code == 201
    await client.post("/v1/password-resets", json={"email": email})
    assert await mailbox.tokens(email.replace("bücher", "xn--bcher-kva"), RESET)
