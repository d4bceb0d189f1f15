"""What was proven before the owner's reset of the password counts for nothing after it, however long it has waited."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import httpx2
import psycopg
import pytest

from config.settings import Settings
from tests.api.conftest import Join
from tests.api.partners import PAGE, register
from tests.api.people import Person, log_in, problem
from tests.api.queues import line_at
from tests.api.test_fresh_log_in import Outsider, came, proof_of
from tests.api.test_outside_log_in import allow, browser, leave, log_in_outside, provider
from tests.api.test_recovery import NEW, ask, mailed_token, reset
from tests.api.test_second_factor import Authenticator, challenged, complete, enrol
from tests.security.test_ways_in import asked_for_a_code

__all__ = ["browser", "provider"]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib")  # of the provider's

CHOSEN_BY_THE_THIEF = "the battery of a thief"


class Scene(NamedTuple):
    """A place where an owner and a thief, who knows the old password, act on one account at the same time."""

    client: httpx2.AsyncClient
    settings: Settings
    superuser: psycopg.Connection

    async def prove_address(self, person: Person) -> None:
        token = await mailed_token(self.client, self.settings, self.superuser, person.id)
        answer = await self.client.post("/v1/email-verifications", json={"token": token})
        assert answer.status_code == 204, answer.text

    async def behind_a_reset(self, person: Person, thief: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
        """The answer to a request of the thief whose proof is checked before the owner's reset, and acts after it."""
        await ask(self.client, person.email)
        token = await mailed_token(self.client, self.settings, self.superuser, person.id)
        with line_at(self.settings, self.superuser, person.id) as line:
            resetting = asyncio.create_task(reset(self.client, token))
            await line.has(1)
            acting = asyncio.ensure_future(thief())
            await line.has(2)
            line.move()
            assert (await resetting).status_code == 204
            return await acting


@pytest.fixture
def scene(client: httpx2.AsyncClient, settings: Settings, superuser: psycopg.Connection) -> Scene:
    return Scene(client, settings, superuser)


Proofs = list[tuple[str, str, dict[str, str]]]
PROVEN: Proofs = [
    ("PUT", "/v1/me/password", {"password": CHOSEN_BY_THE_THIEF}),
    ("POST", "/v1/me/second-factor", {}),
    ("DELETE", "/v1/me", {}),
]
"""What the old password opens to a person who is logged in, without a second factor."""


@pytest.mark.parametrize(("method", "path", "body"), PROVEN)
async def test_a_proof_by_the_old_password_opens_nothing_after_a_reset(
    scene: Scene, join: Join, method: str, path: str, body: dict[str, str]
) -> None:
    person = await join()
    word = "old_password" if path.endswith("/password") else "password"

    async def thief() -> httpx2.Response:
        return await scene.client.request(method, path, json=body | {word: person.password}, headers=person.headers)

    answer = await scene.behind_a_reset(person, thief)
    assert (answer.status_code, problem(answer)) == (403, "forbidden")
    assert (await log_in(scene.client, person.email, NEW)).id == person.id, "the owner's new password is in force"


async def test_a_second_factor_is_not_removed_by_the_old_password_after_a_reset(scene: Scene, join: Join) -> None:
    person = await join()
    await scene.prove_address(person)
    _, codes = await enrol(scene.client, person)

    async def thief() -> httpx2.Response:
        body = {"password": person.password, "code": codes[0]}
        return await scene.client.request("DELETE", "/v1/me/second-factor", json=body, headers=person.headers)

    answer = await scene.behind_a_reset(person, thief)
    assert (answer.status_code, problem(answer)) == (403, "forbidden")
    again = await scene.client.post("/v1/sessions", json={"email": person.email, "password": NEW})
    assert problem(again) == "second-factor-required"


async def test_a_code_for_a_log_in_by_the_old_password_opens_no_session_after_a_reset(scene: Scene, join: Join) -> None:
    person = await join()
    await scene.prove_address(person)
    _, codes = await enrol(scene.client, person)
    challenge = await challenged(scene.client, person)
    answer = await scene.behind_a_reset(person, lambda: complete(scene.client, challenge, codes[0]))
    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")


async def test_a_code_on_the_page_of_an_application_grants_nothing_after_a_reset(scene: Scene, join: Join) -> None:
    person, partner = await join(), await register(scene.settings, scene.client)
    await scene.prove_address(person)
    _, codes = await enrol(scene.client, person)
    asked = partner.request(secrets.token_urlsafe(40)) | {"decision": "allow"}
    challenge = await asked_for_a_code(scene.client, person, asked)

    async def thief() -> httpx2.Response:
        return await scene.client.post(PAGE, data=asked | {"challenge": challenge, "second_factor": codes[0]})

    assert (await scene.behind_a_reset(person, thief)).status_code == 401


async def test_of_two_codes_for_one_challenge_one_opens_a_session(scene: Scene, join: Join) -> None:
    person = await join()
    _, codes = await enrol(scene.client, person)
    challenge = await challenged(scene.client, person)
    answers = await asyncio.gather(*(complete(scene.client, challenge, code) for code in codes[:3]))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401]


async def test_a_second_factor_that_was_begun_before_a_reset_is_not_confirmed_after_it(
    scene: Scene, join: Join
) -> None:
    person = await join()
    await scene.prove_address(person)
    begun = await scene.client.post("/v1/me/second-factor", json={"password": person.password}, headers=person.headers)
    body = {"code": Authenticator(begun.json()["uri"]).code()}

    async def thief() -> httpx2.Response:
        return await scene.client.post("/v1/me/second-factor/confirm", json=body, headers=person.headers)

    answer = await scene.behind_a_reset(person, thief)
    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")
    assert (await log_in(scene.client, person.email, NEW)).id == person.id


async def test_a_session_that_a_reset_has_ended_links_no_provider(
    scene: Scene, join: Join, browser: httpx2.AsyncClient, provider: str
) -> None:
    person, subject = await join(), secrets.token_hex(8)
    token = (await log_in_outside(browser, provider, person.email, subject)).json()["link_token"]

    async def thief() -> httpx2.Response:
        return await browser.post("/v1/me/outside-accounts", json={"link_token": token}, headers=person.headers)

    answer = await scene.behind_a_reset(person, thief)
    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")
    assert problem(await log_in_outside(browser, provider, person.email, subject)) == "proof-needed"


async def behind_an_unlinking(
    scene: Scene, browser: httpx2.AsyncClient, who: Outsider, thief: Callable[[], Awaitable[httpx2.Response]]
) -> httpx2.Response:
    """The answer to a request that relies on the linked provider, which the owner unlinks before it acts."""
    user_id = (await browser.get("/v1/me", headers=who.headers)).json()["id"]
    with line_at(scene.settings, scene.superuser, user_id) as line:
        unlinking = asyncio.ensure_future(browser.delete("/v1/me/outside-accounts/mock", headers=who.headers))
        await line.has(1)
        acting = asyncio.ensure_future(thief())
        await line.has(2)
        line.move()
        assert (await unlinking).status_code == 204
        return await acting


async def test_a_proof_by_a_provider_opens_nothing_after_it_was_unlinked(
    scene: Scene, browser: httpx2.AsyncClient, provider: str
) -> None:
    who = await came(browser, provider)
    body = {"proof_token": await proof_of(browser, provider, who), "password": CHOSEN_BY_THE_THIEF}
    answer = await behind_an_unlinking(
        scene, browser, who, lambda: browser.put("/v1/me/password", json=body, headers=who.headers)
    )
    assert (answer.status_code, problem(answer)) == (403, "forbidden")


async def test_a_log_in_by_a_provider_opens_no_session_after_it_was_unlinked(
    scene: Scene, browser: httpx2.AsyncClient, provider: str
) -> None:
    who = await came(browser, provider)
    back = await allow(provider, await leave(browser), who.email, subject=who.subject)
    answer = await behind_an_unlinking(scene, browser, who, lambda: browser.get(back))
    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")


async def test_an_account_whose_owner_adds_a_second_factor_is_not_erased_without_a_code(
    scene: Scene, join: Join
) -> None:
    person = await join()
    begun = await scene.client.post("/v1/me/second-factor", json={"password": person.password}, headers=person.headers)
    first = {"code": Authenticator(begun.json()["uri"]).code()}
    with line_at(scene.settings, scene.superuser, person.id) as line:
        confirming = asyncio.ensure_future(
            scene.client.post("/v1/me/second-factor/confirm", json=first, headers=person.headers)
        )
        await line.has(1)
        erasing = asyncio.ensure_future(
            scene.client.request("DELETE", "/v1/me", json={"password": person.password}, headers=person.headers)
        )
        await line.has(2)
        line.move()
        assert (await confirming).status_code == 200
        assert problem(await erasing) == "forbidden"
