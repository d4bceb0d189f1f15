"""Which passwords are taken, and how they are kept: beside the event loop, so many at a time, and rehashed in time."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx2
import psycopg
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from api.http.problems import KINDS
from api.identity import passwords
from api.identity.password_strength import is_easy_to_guess
from api.identity.passwords import check_password, hash_new_password, hash_password
from config.settings import Settings
from domain.problems import ProblemType, Refused
from tests.api.conftest import Join
from tests.api.people import log_in, problem
from tests.api.test_boundaries import serving

WEAK = {
    "short": "elevenchars",
    "one letter": "a" * 40,
    "two letters": "abababababab",
    "too long": "abcdefg" * 30,
    "a common word": "Password2026!",
    "a disguised one": "P@55w0rd-1234",
    "common words": "letmein-ILOVEYOU",
    "the shop's name": "Seatwright2026",
    "digits": "918273645546",
    "a run": "qwertyuiop12",
    "a run backwards": "987-lkjhgfdsa",
}
GUESSED = [
    "galatasaray1905",
    "passwort12345",
    "summersummer2026",
    "michaeljordan23",
    "qwertyuiopasdf",
    "abcabcabcabcabc",
    "1987-06-05 1987",
    "iloveyouforever",
    "trustno1trustno1",
    "P4ssw0rdP4ssw0rd",
]
STRONG = [
    "correct horse battery",
    "seatwright-demo-1",
    "my dragon eats figs",
    "8f3a92c01d77",
    "пароль из букв",
    "密码是很多字的句子啊我说",
]


@pytest.mark.parametrize("password", WEAK.values(), ids=WEAK)
async def test_a_weak_password_is_refused_by_name(client: httpx2.AsyncClient, password: str) -> None:
    body = {"email": "weak@example.test", "password": password, "name": "Eve"}
    answer = await client.post("/v1/users", json=body)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert [error["field"] for error in answer.json()["errors"]] == ["body.password"]
    assert password not in answer.text


@pytest.mark.parametrize("password", STRONG)
def test_a_password_with_something_of_its_own_is_no_common_one(password: str) -> None:
    assert not is_easy_to_guess(password)


@pytest.mark.parametrize("password", [*GUESSED, "password" * 25])
def test_a_password_of_words_names_dates_and_runs_is_easy_to_guess(password: str) -> None:
    assert is_easy_to_guess(password)


HARDEST = ["448(+[<66|9!1|70$5+7%24@4({[<36|7[4|70$5", "4@8({[<369!1|70$5+%2" * 2, "|!+" + "1234567890" * 4]


@pytest.mark.parametrize("password", HARDEST)
def test_the_hardest_password_takes_a_few_times_as_long_as_a_plain_one(password: str) -> None:
    def cost(text: str) -> float:
        began = time.thread_time()
        is_easy_to_guess(text)
        return time.thread_time() - began

    plain = min(cost("correct horse battery staple and my dragon") for _ in range(5))
    assert min(cost(password) for _ in range(3)) < 30 * plain


async def test_a_log_in_does_not_wait_for_new_passwords_and_few_of_those_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    password_hash, may_end = await hash_password("correct horse battery"), threading.Event()

    def slow(_: str) -> bool:
        may_end.wait(60)
        return False

    monkeypatch.setattr(passwords, "is_easy_to_guess", slow)
    crowd = [asyncio.create_task(hash_new_password("correct horse battery")) for _ in range(30)]
    try:
        await asyncio.sleep(0)
        assert (await check_password("correct horse battery", password_hash)).fits
        assert not [each for each in crowd if each.done() and not each.exception()]
    finally:
        may_end.set()
    answers = await asyncio.gather(*crowd, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert {answer.problem.type for answer in refused} == {ProblemType.UNAVAILABLE}
    assert len(refused) == 30 - 21


async def test_a_password_is_judged_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop_runs = threading.Event()

    def judge(password: str) -> bool:
        assert loop_runs.wait(60)
        return is_easy_to_guess(password)

    monkeypatch.setattr(passwords, "is_easy_to_guess", judge)
    judging = asyncio.create_task(hash_new_password("1234567890" * 20))
    await asyncio.sleep(0)
    loop_runs.set()
    with pytest.raises(Refused) as refused:
        await judging
    assert refused.value.problem.members["errors"][0]["field"] == "body.password"


async def test_a_hash_of_earlier_days_is_replaced_at_the_next_log_in(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person = await join()
    old = Argon2Hasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(person.password)
    superuser.execute("UPDATE users SET password_hash = %s WHERE id = %s", [old, person.id])
    wrong = await client.post("/v1/sessions", json={"email": person.email, "password": "not the password"})
    assert problem(wrong) == "unauthenticated"
    query = "SELECT password_hash FROM users WHERE id = %s"
    assert superuser.execute(query, [person.id]).fetchall() == [(old,)]
    await log_in(client, person.email, person.password)
    [(new,)] = superuser.execute(query, [person.id]).fetchall()
    assert new.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await log_in(client, person.email, person.password)
    assert superuser.execute(query, [person.id]).fetchall() == [(new,)]


async def test_an_invalid_reset_token_costs_no_password_hash(settings: Settings) -> None:
    """Otherwise many such calls keep everyone from logging in."""

    there_is_no_room = asyncio.Event()

    async def comes_again() -> None:
        while True:
            try:
                await hash_password("correct horse battery")
            except Refused:
                there_is_no_room.set()
                await asyncio.sleep(0)

    async with serving(settings, "identity") as client:
        crowd = [asyncio.create_task(comes_again()) for _ in range(120)]  # more than there is room for
        await there_is_no_room.wait()
        body = {"token": "unknown", "password": "another battery staple"}
        answer = await client.post("/v1/password-resets/confirm", json=body)
        for each in crowd:
            each.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
    assert (answer.status_code, problem(answer)) == (422, "token-not-valid")


async def test_too_many_log_ins_at_once_are_refused_and_delay_no_other_request() -> None:
    password_hash = await hash_password("correct horse battery")
    crowd = [asyncio.ensure_future(check_password("correct horse battery", password_hash)) for _ in range(300)]
    turns = 0
    while not all(each.done() for each in crowd):
        await asyncio.sleep(0 if turns <= 1000 else 0.05)  # a loop that turns for its own sake takes a core
        turns += 1
    answers = await asyncio.gather(*crowd, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert turns > 1000, "the event loop went on"
    assert len(refused) == 300 - 102
    assert {answer.problem.type for answer in refused} == {ProblemType.UNAVAILABLE}
    assert KINDS[ProblemType.UNAVAILABLE].headers["Retry-After"]
    assert all(answer.fits for answer in answers if not isinstance(answer, BaseException))
    assert (await check_password("correct horse battery", password_hash)).fits, "there is room again"
