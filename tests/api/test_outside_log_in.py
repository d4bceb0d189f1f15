"""Log in with an outside provider: tested against a real one that is made for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest
from oidc_provider_mock import run_server_in_thread  # type: ignore[import-untyped]  # it has no types
from pydantic import SecretStr

from api.app import create_app
from config.settings import LoginProvider, Settings
from tests.api.conftest import Join
from tests.api.people import Person, log_in, problem
from tests.api.test_second_factor import complete, enrol
from tests.http_client import http_client
from tests.scale import sample

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib")  # of the provider's


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The provider's address."""
    with run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
async def browser(settings: Settings, provider: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser at an API that knows the provider; the application is called without a network."""
    ours = LoginProvider(issuer=provider, client_id=str(uuid4()), client_secret=SecretStr(str(uuid4())))
    app = create_app(settings.model_copy(update={"login_providers": {"mock": ours}}), {"identity"})
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=settings.api_url) as opened,
    ):
        yield opened


async def leave(browser: httpx2.AsyncClient) -> str:
    """The provider's address to which our API sends the browser."""
    answer = await browser.get("/v1/log-in/mock")
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def allow(
    provider: str, where: str, email: str, *, verified: bool = True, subject: str | None = None, **more: object
) -> str:
    """The person says yes at the provider; where that sends the browser back to."""
    subject = subject or str(uuid4())
    async with http_client() as http:
        claims = {"email": email, "email_verified": verified, "name": "Ada at the provider", **more}
        assert (await http.put(f"{provider}/users/{quote(subject)}", json=claims)).status_code == 204
        answer = await http.post(where, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])


async def log_in_outside(browser: httpx2.AsyncClient, provider: str, email: str, subject: str) -> httpx2.Response:
    return await browser.get(await allow(provider, await leave(browser), email, subject=subject))


async def me(browser: httpx2.AsyncClient, answer: httpx2.Response) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    found: dict[str, object] = (await browser.get("/v1/me", headers=headers)).json()
    return found


async def test_to_leave_for_a_provider_reads_no_certificates(browser: httpx2.AsyncClient) -> None:
    await leave(browser)  # which reads what the provider says of itself
    began = time.thread_time()
    httpx2.create_ssl_context()
    reading, began = time.thread_time() - began, time.thread_time()
    for _ in range(5):
        await leave(browser)
    assert (time.thread_time() - began) / 5 < reading


async def test_the_first_log_in_with_a_provider_makes_an_account_and_later_ones_use_it(
    browser: httpx2.AsyncClient, provider: str
) -> None:
    email, subject = f"{uuid4()}@example.test", str(uuid4())
    first = await log_in_outside(browser, provider, email, subject)
    assert first.status_code == 200, first.text
    assert first.headers["cache-control"] == "no-store"
    known = await me(browser, first)
    assert (known["email"], known["name"], known["roles"]) == (email, "Ada at the provider", ["customer"])
    assert known["email_verified"] is True
    moved = await log_in_outside(browser, provider, f"{uuid4()}@example.test", subject)
    assert (await me(browser, moved))["id"] == known["id"], "it is the provider's id that counts, not the address"
    refreshed = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
    assert (await browser.post("/v1/oauth/token", data=refreshed)).status_code == 200


SPELLINGS = [
    ("ada-{}@example.test", "ADA-{}@EXAMPLE.TEST"),
    ("ada-{}@b\u00fccher.example", "ada-{}@xn--bcher-kva.example"),
    ("ada-{}@xn--bcher-kva.example", "ADA-{}@b\u00fccher.example"),
    ("j\u00fcrgen-{}@example.test", "ju\u0308rgen-{}@example.test"),
]


@pytest.mark.parametrize(("registered", "spelling"), sample(SPELLINGS, 1, of="spellings at a provider"))
async def test_an_existing_account_is_linked_only_after_its_owner_has_logged_in(
    browser: httpx2.AsyncClient, provider: str, join: Join, registered: str, spelling: str
) -> None:
    mark, subject = uuid4().hex, str(uuid4())
    owner, thief = await join(email=registered.format(mark)), await join()
    answer = await log_in_outside(browser, provider, spelling.format(mark), subject)
    assert (answer.status_code, problem(answer)) == (409, "proof-needed")
    assert "access_token" not in answer.json()
    token = answer.json()["link_token"]

    async def link(person: Person | None, token: str = token) -> httpx2.Response:
        headers = person.headers if person else {}
        return await browser.post("/v1/me/outside-accounts", json={"link_token": token}, headers=headers)

    assert problem(await link(None)) == "unauthenticated"
    assert problem(await link(thief)) == "invalid-request", "it is for the address's own account"
    assert problem(await link(owner, token[:-8] + "AAAAAAA=")) == "invalid-request"
    assert problem(await link(owner, "x")) == "invalid-request"
    assert (await log_in_outside(browser, provider, owner.email, subject)).status_code == 409, "not linked yet"
    assert [(await link(owner)).status_code, (await link(owner)).status_code] == [204, 204]
    history = (await browser.get("/v1/me/history", headers=owner.headers)).json()["history"]
    assert sum(each["action"].startswith("outside-account.linked") for each in history) == 1
    linked = await log_in_outside(browser, provider, owner.email, subject)
    assert (await me(browser, linked))["id"] == owner.id
    assert (await log_in(browser, owner.email, owner.password)).id == owner.id


async def test_a_person_sees_with_what_they_log_in_and_ends_it(
    browser: httpx2.AsyncClient, provider: str, join: Join
) -> None:
    owner, other, subject = await join(), await join(), str(uuid4())
    token = (await log_in_outside(browser, provider, owner.email, subject)).json()["link_token"]
    await browser.post("/v1/me/outside-accounts", json={"link_token": token}, headers=owner.headers)
    path = "/v1/me/outside-accounts"
    listed = (await browser.get(path, headers=owner.headers)).json()["outside_accounts"]
    assert [each["provider"] for each in listed] == ["mock"]
    assert (await browser.get(path, headers=other.headers)).json() == {"outside_accounts": []}
    assert problem(await browser.delete(f"{path}/mock", headers=other.headers)) == "not-found"
    assert (await browser.delete(f"{path}/mock", headers=owner.headers)).status_code == 204
    assert problem(await browser.delete(f"{path}/mock", headers=owner.headers)) == "not-found"
    again = await log_in_outside(browser, provider, owner.email, subject)
    assert (again.status_code, problem(again)) == (409, "proof-needed")


async def test_an_outside_provider_opens_no_account_without_its_second_factor(
    browser: httpx2.AsyncClient, provider: str, join: Join
) -> None:
    owner, subject = await join(), str(uuid4())
    proof = (await log_in_outside(browser, provider, owner.email, subject)).json()["link_token"]
    await browser.post("/v1/me/outside-accounts", json={"link_token": proof}, headers=owner.headers)
    _, codes = await enrol(browser, owner)
    answer = await log_in_outside(browser, provider, owner.email, subject)
    assert (answer.status_code, problem(answer)) == (401, "second-factor-required")
    assert "access_token" not in answer.json()
    opened = await complete(browser, answer.json()["challenge"], codes[0])
    assert (await me(browser, opened))["id"] == owner.id


async def test_an_erased_account_cannot_log_in_with_a_provider_but_the_person_can_anew(
    browser: httpx2.AsyncClient, provider: str, join: Join
) -> None:
    owner, subject = await join(), str(uuid4())
    proof = (await log_in_outside(browser, provider, owner.email, subject)).json()["link_token"]
    await browser.post("/v1/me/outside-accounts", json={"link_token": proof}, headers=owner.headers)
    body = {"password": owner.password}
    assert (await browser.request("DELETE", "/v1/me", json=body, headers=owner.headers)).status_code == 204
    fresh = await me(browser, await log_in_outside(browser, provider, owner.email, subject))
    assert fresh["id"] != owner.id


async def test_an_address_that_the_provider_has_not_verified_is_refused(
    browser: httpx2.AsyncClient, provider: str, join: Join
) -> None:
    owner = await join()
    for email in (owner.email, f"{uuid4()}@example.test"):
        answer = await browser.get(await allow(provider, await leave(browser), email, verified=False))
        assert (answer.status_code, problem(answer)) == (403, "forbidden")
        assert "link_token" not in answer.json()


async def test_only_the_browser_that_left_may_come_back_and_only_with_its_own_state(
    browser: httpx2.AsyncClient, provider: str
) -> None:
    email = f"{uuid4()}@example.test"
    back = await allow(provider, await leave(browser), email)
    cookies = dict(browser.cookies)
    browser.cookies.clear()
    assert problem(await browser.get(back)) == "unauthenticated", "another browser"
    browser.cookies.set("seatwright-log-in", "forged")
    assert problem(await browser.get(back)) == "unauthenticated"
    await leave(browser)
    assert problem(await browser.get(back)) == "unauthenticated", "the state of another log-in"
    browser.cookies.clear()
    browser.cookies.update(cookies)
    for bad in ("", "?error=access_denied", "?state=x", "?code=x&state=x"):
        assert problem(await browser.get("/v1/log-in/mock/back" + bad)) == "unauthenticated"
    assert (await browser.get(back)).status_code == 200, "its own"
    assert problem(await browser.get(back)) == "unauthenticated", "once"


async def test_the_way_there_is_bound_to_the_browser_by_state_nonce_and_pkce(browser: httpx2.AsyncClient) -> None:
    answer = await browser.get("/v1/log-in/mock")
    asked = httpx2.URL(answer.headers["location"]).params
    assert asked["code_challenge_method"] == "S256"
    assert asked["state"]
    assert asked["nonce"]
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert asked["state"] not in cookie


async def test_there_are_no_providers_but_those_in_the_settings(settings: Settings, client: httpx2.AsyncClient) -> None:
    for name in ("mock", "http:%2F%2Fevil.example.test", "__class__"):
        assert problem(await client.get(f"/v1/log-in/{name}")) == "not-found"


ODD: dict[str, bytes | None] = {"nothing": None, "a list": b"[]", "too little": b"{}", "no JSON": b"<html>"}


@pytest.fixture(params=sample(list(ODD), 2, of="odd providers"))
async def odd_provider(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of a provider that does not answer, or not as one does."""
    body = ODD[request.param]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if body is not None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_provider_that_breaks_the_protocol_is_a_503(settings: Settings, odd_provider: str) -> None:
    gone = LoginProvider(issuer=odd_provider, client_id="x", client_secret=SecretStr("x"))
    app = create_app(settings.model_copy(update={"login_providers": {"gone": gone}}), {"identity"})
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=settings.api_url) as browser,
    ):
        answer = await browser.get("/v1/log-in/gone")
        assert (answer.status_code, problem(answer)) == (503, "unavailable")
