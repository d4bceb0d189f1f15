"""A person without a password proves their identity by a fresh log-in with their provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2
import pytest

from api.identity import notes
from tests.api.conftest import Join
from tests.api.people import Person, log_in, problem
from tests.api.test_outside_log_in import allow, browser, leave, log_in_outside, provider
from tests.api.test_second_factor import Authenticator, complete
from tests.scale import FULL

__all__ = ["browser", "provider"]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib")  # of the provider's

NEW_PASSWORD = "another horse battery"


class Outsider(NamedTuple):
    """A person who came by the provider, and has no password."""

    email: str
    subject: str
    headers: Mapping[str, str]


async def came(browser: httpx2.AsyncClient, provider: str) -> Outsider:
    """A new person, registered by the provider."""
    email, subject = f"{uuid4()}@example.test", str(uuid4())
    tokens = (await log_in_outside(browser, provider, email, subject)).json()
    return Outsider(email, subject, {"Authorization": f"Bearer {tokens['access_token']}"})


async def logged_in_again(browser: httpx2.AsyncClient, provider: str, who: Outsider, **claims: Any) -> httpx2.Response:
    """The answer to a fresh log-in."""
    return await browser.get(await way_back(browser, provider, who, **claims))


async def way_back(browser: httpx2.AsyncClient, provider: str, who: Outsider, **claims: Any) -> str:
    """The address to which the provider sends the browser after a fresh log-in."""
    left = await browser.get("/v1/log-in/mock", params={"fresh": "true"})
    return await allow(provider, left.headers["location"], who.email, subject=who.subject, **claims)


async def proof_of(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> str:
    answer = await logged_in_again(browser, provider, who)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"proof_token", "expires_in"}, "it opens no session"
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["proof_token"])


async def enrolled(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> list[str]:
    """Give the account a second factor; its recovery codes."""
    body = {"proof_token": await proof_of(browser, provider, who)}
    begun = await browser.post("/v1/me/second-factor", json=body, headers=who.headers)
    assert begun.status_code == 201, begun.text
    code = Authenticator(begun.json()["uri"]).code()
    confirmed = await browser.post("/v1/me/second-factor/confirm", json={"code": code}, headers=who.headers)
    assert confirmed.status_code == 200, confirmed.text
    return list(confirmed.json()["recovery_codes"])


GUARDED = [
    ("POST", "/v1/me/second-factor", {}, 201),
    ("DELETE", "/v1/me/second-factor", {"code": "not-a-code"}, 204),
    ("PUT", "/v1/me/password", {"password": NEW_PASSWORD}, 204),
    ("DELETE", "/v1/me", {}, 204),
]
"""Every call that a password protects, with what it needs besides; the stories below show all but the second."""


@pytest.mark.parametrize(("method", "path", "more", "status"), GUARDED if FULL else GUARDED[1:2])
async def test_a_fresh_log_in_stands_in_for_the_password(
    browser: httpx2.AsyncClient, provider: str, method: str, path: str, more: dict[str, str], status: int
) -> None:
    who = await came(browser, provider)
    body = more | {"proof_token": await proof_of(browser, provider, who)}
    answer = await browser.request(method, path, json=body, headers=who.headers)
    assert answer.status_code == status, answer.text


async def test_a_person_without_a_password_enrols_a_second_factor_and_erases_the_account_by_both(
    browser: httpx2.AsyncClient, provider: str
) -> None:
    who = await came(browser, provider)
    codes = await enrolled(browser, provider, who)
    challenged = await log_in_outside(browser, provider, who.email, who.subject)
    assert problem(challenged) == "second-factor-required"
    assert (await complete(browser, challenged.json()["challenge"], codes[0])).status_code == 201
    proof = {"proof_token": await proof_of(browser, provider, who)}
    for path in ("/v1/me", "/v1/me/second-factor"):
        without = await browser.request("DELETE", path, json=proof | {"code": "not-a-code"}, headers=who.headers)
        assert problem(without) == "forbidden", "a log-in with the provider is no second factor"
    done = await browser.request("DELETE", "/v1/me", json=proof | {"code": codes[1]}, headers=who.headers)
    assert done.status_code == 204
    again = await browser.request("DELETE", "/v1/me", json=proof, headers=who.headers)
    assert again.status_code in (401, 403), "there is no account to which the proof belongs"


async def test_a_first_password_is_set_without_a_mail(browser: httpx2.AsyncClient, provider: str) -> None:
    who = await came(browser, provider)
    body = {"proof_token": await proof_of(browser, provider, who), "password": NEW_PASSWORD}
    assert (await browser.put("/v1/me/password", json=body, headers=who.headers)).status_code == 204
    assert (await log_in(browser, who.email, NEW_PASSWORD)).email == who.email


async def _of_another(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> str:
    return await proof_of(browser, provider, await came(browser, provider))


async def _too_old(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> str:
    back = await way_back(browser, provider, who)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notes, "LASTS", -1)
        return str((await browser.get(back)).json()["proof_token"])


async def _unlinked(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> str:
    proof = await proof_of(browser, provider, who)
    assert (await browser.delete("/v1/me/outside-accounts/mock", headers=who.headers)).status_code == 204
    return proof


async def _link_token(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> str:
    """A note that we made for another purpose, about an account at the provider that is linked by now."""
    token = str((await log_in_outside(browser, provider, who.email, str(uuid4()))).json()["link_token"])
    linked = await browser.post("/v1/me/outside-accounts", json={"link_token": token}, headers=who.headers)
    assert linked.status_code == 204
    return token


async def _forged(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> str:
    return (await proof_of(browser, provider, who))[:-8] + "AAAAAAA="


async def _nonsense(browser: httpx2.AsyncClient, provider: str, who: Outsider) -> str:
    return "ü"


BAD: dict[str, Callable[..., Any]] = {
    "of another person": _of_another,
    "too old": _too_old,
    "forged": _forged,
    "nonsense": _nonsense,
    "of a provider that was unlinked since": _unlinked,
    "for another purpose": _link_token,
}
"""In an order in which one account can have them all: the last two change what is linked to it."""


async def test_a_bad_proof_is_refused_everywhere_and_changes_nothing(
    browser: httpx2.AsyncClient, provider: str
) -> None:
    who = await came(browser, provider)
    for kind, made in BAD.items():
        proof = {"proof_token": await made(browser, provider, who)}
        for method, path, more, _ in GUARDED:
            answer = await browser.request(method, path, json=proof | more, headers=who.headers)
            assert (answer.status_code, problem(answer)) == (403, "forbidden"), (kind, path)
        me = (await browser.get("/v1/me", headers=who.headers)).json()
        assert (me["email"], me["second_factor"]) == (who.email, False), kind


async def test_there_is_exactly_one_proof(browser: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    for method, path, more, _ in GUARDED:
        name = "old_password" if path == "/v1/me/password" else "password"
        for proof in ({}, {"proof_token": "x", name: person.password}):
            answer = await browser.request(method, path, json=more | proof, headers=person.headers)
            assert (answer.status_code, problem(answer)) == (422, "invalid-request"), path
            assert [error["field"] for error in answer.json()["errors"]] == [f"body.{name}"]


async def test_an_account_with_a_password_may_use_its_linked_provider_too(
    browser: httpx2.AsyncClient, provider: str, join: Join
) -> None:
    person: Person = await join()
    who = Outsider(person.email, str(uuid4()), person.headers)
    assert problem(await logged_in_again(browser, provider, who)) == "forbidden", "it is not linked yet"
    token = (await log_in_outside(browser, provider, person.email, who.subject)).json()["link_token"]
    await browser.post("/v1/me/outside-accounts", json={"link_token": token}, headers=person.headers)
    proof = {"proof_token": await proof_of(browser, provider, who)}
    assert (await browser.request("DELETE", "/v1/me", json=proof, headers=person.headers)).status_code == 204


async def test_a_provider_has_to_confirm_that_its_user_has_just_logged_in(
    browser: httpx2.AsyncClient, provider: str
) -> None:
    who = await came(browser, provider)
    for auth_time in (time.time() - 120, None, "", False):
        answer = await logged_in_again(browser, provider, who, auth_time=auth_time)
        assert (answer.status_code, problem(answer)) == (403, "forbidden"), auth_time
        assert "password-resets" in answer.json()["detail"]


async def test_a_fresh_log_in_asks_the_provider_for_one_and_makes_no_account(
    browser: httpx2.AsyncClient, provider: str
) -> None:
    left = await browser.get("/v1/log-in/mock", params={"fresh": "true"})
    asked = httpx2.URL(left.headers["location"]).params
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    usual = httpx2.URL(await leave(browser)).params
    assert not {"prompt", "max_age"} & set(usual)
    stranger = Outsider(f"{uuid4()}@example.test", str(uuid4()), {})
    assert problem(await logged_in_again(browser, provider, stranger)) == "forbidden"
    made = {"email": stranger.email, "password": NEW_PASSWORD, "name": "Ada"}
    assert (await browser.post("/v1/users", json=made)).status_code == 201
    assert (await log_in(browser, stranger.email, NEW_PASSWORD)).email == stranger.email, "the address was free"
