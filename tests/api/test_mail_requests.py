"""However many requests for a mail come at once, their answers take as long for a known address as for any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import psycopg
import pytest
from pydantic import SecretStr

from api.edge.rate_counters import Counters
from api.identity.mail_requests import MailRequests
from config.settings import Settings
from tests.api.conftest import Join
from tests.api.people import problem
from tests.api.queues import line_at
from tests.api.test_boundaries import serving
from tests.api.test_limits import LIMITS, from_somewhere, strict, strict_url
from tests.waiting import eventually

__all__ = ["strict", "strict_url"]

BURST = 6
KINDS = {
    "a reset": ("/v1/password-resets", {}, 202),
    "a registration": ("/v1/users", {"password": "correct horse battery", "name": "Eve"}, 201),
}


@pytest.fixture
async def counters(settings: Settings) -> AsyncIterator[Counters]:
    opened = Counters(settings)
    yield opened
    await opened.close()


def mails_to(superuser: psycopg.Connection, user_id: str) -> int:
    """How many mails with a token for a new password were ordered."""
    query = "SELECT count(*) FROM mail_tokens WHERE user_id = %s AND purpose = 'password_reset'"
    [(count,)] = superuser.execute(query, [user_id]).fetchall()
    return int(count)


@pytest.mark.parametrize("kind", KINDS)
async def test_of_a_burst_for_a_known_address_hardly_any_request_waits_for_its_account(
    strict: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection, kind: str
) -> None:
    person, (path, body, status) = await join(), KINDS[kind]
    spellings = (person.email, person.email.upper())
    with line_at(settings, superuser, person.id) as line:
        burst = [
            asyncio.ensure_future(
                strict.post(path, json={"email": spellings[number % 2], **body}, headers=from_somewhere())
            )
            for number in range(BURST)
        ]
        # One, or two where a window of the counter ends in between.
        await eventually(lambda: sum(each.done() for each in burst) >= BURST - 2, within=4)
        assert line.length() <= 2
        line.move()
        assert {answer.status_code for answer in await asyncio.gather(*burst)} == {status}
    assert mails_to(superuser, person.id) == 1, "the owner gets the mail"


async def test_a_request_for_a_mail_that_failed_does_not_hold_up_the_next_one(counters: Counters) -> None:
    requests, account = MailRequests(counters), uuid4().bytes

    async def fail() -> None:
        async with requests.counted("reset", account) as is_first:
            assert is_first
            raise ConnectionError("the database is down")

    with pytest.raises(ConnectionError):
        await fail()
    async with requests.counted("reset", account) as is_first:
        assert is_first


async def test_a_registration_is_never_lost_beside_another_request_for_its_address(
    strict: httpx2.AsyncClient, superuser: psycopg.Connection
) -> None:
    email = f"{uuid4()}@example.test"
    path, body, _ = KINDS["a registration"]
    answers = await asyncio.gather(
        *(strict.post(path, json={"email": email, **body}, headers=from_somewhere()) for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {201}
    made = superuser.execute("SELECT id FROM users WHERE id = ANY(%s)", [[each.json()["id"] for each in answers]])
    assert len(made.fetchall()) == 1


async def test_without_redis_no_mail_is_requested_for_any_address(settings: Settings, join: Join) -> None:
    person = await join()
    nowhere = {"rate_limits": LIMITS, "redis_url": SecretStr("redis://127.0.0.1:9/0")}
    async with serving(settings.model_copy(update=nowhere), "identity") as http:
        for email in (person.email, f"{uuid4()}@example.test"):
            answer = await http.post("/v1/password-resets", json={"email": email})
            assert (answer.status_code, problem(answer)) == (503, "unavailable")
