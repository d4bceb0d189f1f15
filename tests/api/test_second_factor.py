"""With a second factor the password alone opens nothing, and no code opens anything twice."""

from __future__ import annotations

import asyncio
import base64
import time
from urllib.parse import parse_qs, urlsplit

import httpx2
import psycopg
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.api.conftest import Join
from tests.api.people import Person, problem


class Authenticator:
    """The authenticator app on a person's phone."""

    def __init__(self, uri: str) -> None:
        self._totp = TOTP(base64.b32decode(parse_qs(urlsplit(uri).query)["secret"][0]), 6, SHA1(), 30)

    def code(self, steps: int = 0) -> str:
        """The present code, or the one so many half minutes away."""
        return self._totp.generate(time.time() + 30 * steps).decode()


async def enrol(client: httpx2.AsyncClient, person: Person) -> tuple[Authenticator, list[str]]:
    """Give the account a second factor with the code of the half minute before; also the recovery codes."""
    begun = await client.post("/v1/me/second-factor", json={"password": person.password}, headers=person.headers)
    assert begun.status_code == 201, begun.text
    authenticator = Authenticator(begun.json()["uri"])

    async def confirm() -> httpx2.Response:
        body = {"code": authenticator.code(-1)}
        return await client.post("/v1/me/second-factor/confirm", json=body, headers=person.headers)

    confirmed = await confirm()
    if (
        confirmed.status_code == 422
    ):  # the present half minute ended on the code's way: it is of the one before the last
        confirmed = await confirm()
    assert confirmed.status_code == 200, confirmed.text
    return authenticator, confirmed.json()["recovery_codes"]


async def challenged(client: httpx2.AsyncClient, person: Person) -> str:
    answer = await client.post("/v1/sessions", json={"email": person.email, "password": person.password})
    assert (answer.status_code, problem(answer)) == (401, "second-factor-required")
    assert "access_token" not in answer.text
    return str(answer.json()["challenge"])


async def complete(client: httpx2.AsyncClient, challenge: str, code: str) -> httpx2.Response:
    return await client.post("/v1/sessions/second-factor", json={"challenge": challenge, "code": code})


async def test_a_log_in_needs_the_password_and_a_code(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    authenticator, _ = await enrol(client, person)
    assert (await client.get("/v1/me", headers=person.headers)).json()["second_factor"] is True
    opened = await complete(client, await challenged(client, person), authenticator.code())
    assert opened.status_code == 201
    headers = {"Authorization": f"Bearer {opened.json()['access_token']}"}
    assert (await client.get("/v1/me", headers=headers)).json()["id"] == person.id


async def test_a_code_that_was_used_opens_nothing_again(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    authenticator, _ = await enrol(client, person)
    challenges = [await challenged(client, person) for _ in range(4)]
    assert problem(await complete(client, challenges[0], authenticator.code(4))) == "unauthenticated", "not due yet"
    code = authenticator.code(1)
    answers = await asyncio.gather(*(complete(client, challenge, code) for challenge in challenges))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401]
    earlier = await complete(client, await challenged(client, person), authenticator.code())
    assert problem(earlier) == "unauthenticated", "older codes are void with it"


async def test_a_recovery_code_stands_in_for_a_lost_telephone_once(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    _, codes = await enrol(client, person)
    assert len(set(codes)) == 10
    code = codes[0].upper().replace("-", " ")
    assert (await complete(client, await challenged(client, person), code)).status_code == 201
    assert problem(await complete(client, await challenged(client, person), codes[0])) == "unauthenticated"


async def test_a_challenge_takes_five_codes_and_no_more(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    _, codes = await enrol(client, person)
    challenge = await challenged(client, person)
    for _ in range(5):
        assert problem(await complete(client, challenge, "not-a-code")) == "unauthenticated"
    assert problem(await complete(client, challenge, codes[0])) == "unauthenticated"
    assert (await complete(client, await challenged(client, person), codes[0])).status_code == 201


async def test_many_log_ins_do_not_let_codes_be_guessed_and_a_recovery_code_still_works(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    authenticator, codes = await enrol(client, person)
    for _ in range(5):
        await complete(client, await challenged(client, person), "000000x")
    query = "UPDATE second_factors SET wrong_codes = wrong_codes + 44 WHERE user_id = %s RETURNING wrong_codes"
    assert superuser.execute(query, [person.id]).fetchall() == [(49,)]
    path, body = "/v1/me/second-factor", {"password": person.password, "code": "000000x"}
    assert problem(await client.request("DELETE", path, json=body, headers=person.headers)) == "forbidden"
    right = await complete(client, await challenged(client, person), authenticator.code())
    assert problem(right) == "unauthenticated", "the authenticator is not believed any more"
    assert (await complete(client, await challenged(client, person), codes[0])).status_code == 201
    assert (await complete(client, await challenged(client, person), authenticator.code(1))).status_code == 201


async def test_a_right_code_forgets_the_wrong_ones(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    authenticator, _ = await enrol(client, person)
    challenge = await challenged(client, person)
    for code in ("000000x", "000000y", authenticator.code()):
        answer = await complete(client, challenge, code)
    assert answer.status_code == 201
    query = "SELECT wrong_codes FROM second_factors WHERE user_id = %s"
    assert superuser.execute(query, [person.id]).fetchall() == [(0,)]


async def test_a_wrong_code_and_an_unknown_challenge_get_the_same_answer(
    client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    await enrol(client, person)
    one = (await complete(client, await challenged(client, person), "not-a-code")).json()
    other = (await complete(client, "no-such-challenge", "not-a-code")).json()
    assert one.pop("request_id") != other.pop("request_id")
    assert one == other


async def test_a_second_factor_is_in_force_only_after_its_first_code(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    wrong = await client.post("/v1/me/second-factor", json={"password": "not it"}, headers=person.headers)
    assert problem(wrong) == "forbidden"
    begun = await client.post("/v1/me/second-factor", json={"password": person.password}, headers=person.headers)
    assert begun.headers["cache-control"] == "no-store"
    refused = await client.post("/v1/me/second-factor/confirm", json={"code": "nocode"}, headers=person.headers)
    assert (refused.status_code, problem(refused)) == (422, "code-not-valid")
    session = await client.post("/v1/sessions", json={"email": person.email, "password": person.password})
    assert session.status_code == 201


async def test_it_is_replaced_or_removed_only_by_password_and_code(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    _, codes = await enrol(client, person)
    path = "/v1/me/second-factor"
    again = await client.post(path, json={"password": person.password}, headers=person.headers)
    assert (again.status_code, problem(again)) == (409, "wrong-state")
    for password, code in ((person.password, "not-a-code"), ("not the password", codes[0])):
        body = {"password": password, "code": code}
        assert problem(await client.request("DELETE", path, json=body, headers=person.headers)) == "forbidden"
    body = {"password": person.password, "code": codes[0]}
    assert (await client.request("DELETE", path, json=body, headers=person.headers)).status_code == 204
    session = await client.post("/v1/sessions", json={"email": person.email, "password": person.password})
    assert session.status_code == 201


async def test_neither_secret_nor_recovery_codes_can_be_read_in_the_database(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    _, codes = await enrol(client, person)
    [(secret,)] = superuser.execute("SELECT secret FROM second_factors WHERE user_id = %s", [person.id]).fetchall()
    assert len(secret) == 12 + 20 + 16, "nonce, secret and tag"
    hashes = superuser.execute("SELECT hash FROM recovery_codes WHERE user_id = %s", [person.id]).fetchall()
    assert len(hashes) == 10
    assert not {bytes(hash) for (hash,) in hashes} & {code.encode() for code in codes}
