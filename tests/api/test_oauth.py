"""Applications of others: a person allows them something, and they get that and no more, until it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from functools import partial
from uuid import uuid4

import httpx2
import psycopg
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

from cli.clients import clients_app
from config.settings import Settings
from db.engine import open_engine
from db.identity import clients
from domain.identity import Role, Scope, SigningAlgorithm
from tests.api.conftest import ByToken, Join
from tests.api.partners import RETURN, Partner, allow, bearer, log_in_for, register, told
from tests.api.people import Person, problem
from tests.command_line import seatwright
from tests.scale import sample
from tests.waiting import eventually

CREDENTIALS = {"client_credentials"}


@pytest.fixture
async def partner(settings: Settings, client: httpx2.AsyncClient) -> Partner:
    """A client with a secret, to which people may grant to read their bookings."""
    return await register(settings, client)


async def refused_everywhere(client: httpx2.AsyncClient, access_token: str) -> bool:
    """Whether an access token has stopped to work."""
    answer = await client.get("/v1/me/bookings", headers={"Authorization": f"Bearer {access_token}"})
    return answer.status_code == 401


@pytest.mark.parametrize("is_public", [False, True], ids=["with a secret", "public"])
async def test_a_client_that_may_read_bookings_can_do_nothing_else(
    settings: Settings, client: httpx2.AsyncClient, join: Join, is_public: bool
) -> None:
    person, partner = await join(), await register(settings, client, is_public=is_public)
    tokens = await partner.tokens_of(person)
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] <= 15 * 60
    assert tokens["scope"] == "bookings:read email openid profile"
    assert (await client.get("/v1/me/bookings", headers=bearer(tokens))).status_code == 200
    for call in (
        client.get("/v1/me", headers=bearer(tokens)),
        client.patch("/v1/me", json={"name": "x"}, headers=bearer(tokens)),
        client.post("/v1/bookings", json={}, headers=bearer(tokens)),
        client.delete(f"/v1/bookings/{uuid4()}", headers=bearer(tokens)),
    ):
        answer = await call
        assert (problem(answer), answer.json()["error"]) == ("forbidden", "insufficient_scope")


@pytest.mark.parametrize("algorithm", SigningAlgorithm)
@pytest.mark.filterwarnings("ignore:.*EdDSA.*")
async def test_an_id_token_says_who_has_logged_in_to_whom(
    settings: Settings, client: httpx2.AsyncClient, join: Join, api_url: str, algorithm: SigningAlgorithm
) -> None:
    person, partner = await join(), await register(settings, client, id_token_algorithm=algorithm)
    tokens = await partner.tokens_of(person)
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    said = jwt.decode(tokens["id_token"], keys, algorithms=[algorithm])
    assert (said.header["typ"], said.header["alg"]) == ("JWT", algorithm)
    claims = said.claims
    assert {name: claims[name] for name in ("iss", "aud", "sub", "nonce", "email", "email_verified", "name")} == {
        "iss": api_url,
        "aud": str(partner.id),
        "sub": person.id,
        "nonce": "no",
        "email": person.email,
        "email_verified": False,
        "name": "Test Person",
    }
    info = await client.get("/v1/oauth/userinfo", headers=bearer(tokens))
    assert info.json() == {
        "sub": person.id,
        "email": person.email,
        "email_verified": False,
        "name": "Test Person",
    }
    id_token = {"access_token": tokens["id_token"]}
    assert problem(await client.get("/v1/me", headers=bearer(id_token))) == "unauthenticated"


async def test_a_client_from_before_keeps_its_algorithm_until_an_operator_changes_it(
    settings: Settings, stack_env: dict[str, str], client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    person, partner = await join(), await register(settings, client)
    assert await algorithm_for(partner, person) == "RS256", "the default of OpenID Connect Registration"
    as_before = "UPDATE clients SET id_token_signed_response_alg = DEFAULT WHERE id = %s"
    superuser.execute(as_before, [partner.id])
    assert await algorithm_for(partner, person) == "EdDSA"
    await seatwright(clients_app, stack_env, "sign-with", str(partner.id), "RS256")
    assert await algorithm_for(partner, person) == "RS256"


async def algorithm_for(partner: Partner, person: Person) -> str:
    """The algorithm that the header of the client's id token names."""
    head = (await partner.tokens_of(person))["id_token"].partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["alg"])


async def test_each_algorithm_of_the_discovery_document_has_a_published_key(client: httpx2.AsyncClient) -> None:
    found = (await client.get("/.well-known/openid-configuration")).json()
    keys = (await client.get("/.well-known/jwks.json")).json()["keys"]
    assert sorted(found["id_token_signing_alg_values_supported"]) == ["EdDSA", "RS256"]
    assert {key["alg"]: key["kty"] for key in keys} == {"EdDSA": "OKP", "RS256": "RSA"}
    assert not [key for key in keys if {"d", "p", "q"} & key.keys()]


async def test_a_client_library_finds_its_way_by_the_discovery_document(
    client: httpx2.AsyncClient, join: Join, partner: Partner, api_url: str
) -> None:
    person = await join()
    found = (await client.get("/.well-known/openid-configuration")).json()
    assert found["issuer"] == api_url
    assert found["code_challenge_methods_supported"] == ["S256"]
    async with AsyncOAuth2Client(
        str(partner.id),
        partner.secret,
        scope="openid bookings:read",
        redirect_uri=RETURN,
        code_challenge_method="S256",
        token_endpoint=found["token_endpoint"],
    ) as library:
        verifier = secrets.token_urlsafe(40)
        where, state = library.create_authorization_url(found["authorization_endpoint"], code_verifier=verifier)
        asked = dict(httpx2.URL(where).params)
        back = await allow(client, await log_in_for(client, person, asked), asked)
        tokens = await library.fetch_token(
            authorization_response=back.headers["location"], state=state, code_verifier=verifier
        )
        assert tokens["scope"] == "bookings:read openid"
        assert (await library.refresh_token())["refresh_token"] != tokens["refresh_token"]
        assert (await library.get(f"{api_url}/v1/me/bookings")).status_code == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "openid bookings:write"}, "invalid_scope"),
        ({"scope": "seatwright"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_a_client_is_told_what_is_wrong_with_its_request(
    client: httpx2.AsyncClient, partner: Partner, changed: dict[str, str | None], error: str
) -> None:
    answer = await client.get("/v1/oauth/authorize", params=partner.request("v" * 43, **changed))
    assert {name: told(answer)[name] for name in ("error", "state")} == {"error": error, "state": "st"}


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example.test/back"},
        {"redirect_uri": RETURN + "/"},
        {"redirect_uri": RETURN + "?a=1"},
        {"redirect_uri": RETURN + '"\\'},
        {"redirect_uri": None},
        {"client_id": str(uuid4())},
        {"client_id": "x"},
        {"client_id": None},
        {"state": "é"},
        {"response_type": '"', "redirect_uri": "https://evil.example.test"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_browser_is_never_redirected_to_an_unregistered_address(
    client: httpx2.AsyncClient, partner: Partner, changed: dict[str, str | None], method: str
) -> None:
    asked = partner.request("v" * 43, **changed)
    params, data = (asked, None) if method == "GET" else (None, asked | {"decision": "deny"})
    answer = await client.request(method, "/v1/oauth/authorize", params=params, data=data)
    assert (answer.status_code, problem(answer)) == (400, "invalid-request")
    assert "location" not in answer.headers


async def test_a_field_that_is_there_twice_is_refused(client: httpx2.AsyncClient, partner: Partner) -> None:
    twice = (*partner.request("v" * 43).items(), ("state", "other"))
    assert problem(await client.get("/v1/oauth/authorize", params=twice)) == "invalid-request"


async def test_a_no_is_told_to_the_client(client: httpx2.AsyncClient, partner: Partner) -> None:
    answer = await client.post("/v1/oauth/authorize", data=partner.request("v" * 43) | {"decision": "deny"})
    assert told(answer)["error"] == "access_denied"


async def test_the_page_gives_no_code_for_a_wrong_password_and_believes_no_markup(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, asked = await join(), partner.request("v" * 43, state='"><script>')
    wrong = {"decision": "allow", "password": "not the password"}
    pages = [
        await client.post("/v1/oauth/authorize", data=asked | wrong | {"email": email})
        for email in (person.email, f"{uuid4()}@example.test")
    ]
    assert [page.status_code for page in pages] == [401, 401]
    assert pages[0].text == pages[1].text, "the page reveals an account"
    assert "<script>" not in pages[0].text
    assert "<b>" not in pages[0].text
    assert pages[0].headers["x-frame-options"] == "DENY"
    assert person.email not in pages[0].text


async def test_a_code_works_with_its_verifier_its_address_and_its_client_only(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, other, verifier = await join(), await register(settings, client), secrets.token_urlsafe(40)
    code = (await partner.ask(person, verifier))["code"]
    for answer in (
        await partner.exchange(code, "w" * 43),
        await partner.exchange(code, verifier, redirect_uri="https://evil.example.test"),
        await other.exchange(code, verifier),
        await partner.post("token", grant_type="authorization_code", code=code, redirect_uri=RETURN),
        await Partner(client, partner.id, None).exchange(code, verifier),
        await Partner(client, partner.id, "wrong").exchange(code, verifier),
    ):
        assert answer.status_code in (400, 401)
        assert answer.json()["error"] in {"invalid_grant", "invalid_request", "invalid_client"}
    assert (await partner.exchange(code, verifier)).status_code == 200


async def test_a_second_use_of_a_code_ends_all_that_came_of_the_first(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, verifier = await join(), secrets.token_urlsafe(40)
    code = (await partner.ask(person, verifier))["code"]
    answers = await asyncio.gather(*(partner.exchange(code, verifier) for _ in range(4)))
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (await partner.refresh(won["refresh_token"])).json()["error"] == "invalid_grant"
    await eventually(lambda: refused_everywhere(client, won["access_token"]))


async def test_a_client_may_repeat_a_refresh_for_some_seconds_and_gets_the_same_successor(
    client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    tokens = await partner.tokens_of(await join())
    answers = await asyncio.gather(*(partner.refresh(tokens["refresh_token"]) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    [successor] = {answer.json()["refresh_token"] for answer in answers}
    assert successor != tokens["refresh_token"]
    assert (await partner.refresh(successor)).status_code == 200
    assert not await refused_everywhere(client, answers[-1].json()["access_token"])


async def test_a_refresh_token_used_twice_ends_the_grant_and_its_access_tokens(
    client: httpx2.AsyncClient, join: Join, partner: Partner, superuser: psycopg.Connection
) -> None:
    tokens = await partner.tokens_of(await join())
    heir = (await partner.refresh(tokens["refresh_token"])).json()
    assert not await refused_everywhere(client, heir["access_token"])
    superuser.execute(
        "UPDATE family_tokens SET used_at = used_at - interval '1 minute'"
        " WHERE family IN (SELECT id FROM refresh_families WHERE client_id = %s)",
        [partner.id],
    )
    again = await partner.refresh(tokens["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await partner.refresh(heir["refresh_token"])).json()["error"] == "invalid_grant"
    for token in (tokens["access_token"], heir["access_token"]):
        await eventually(partial(refused_everywhere, client, token), within=5)


async def test_a_refresh_token_works_for_its_client_only_and_within_its_grant(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    tokens, other = await partner.tokens_of(await join()), await register(settings, client)
    assert (await other.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    first_party = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await client.post("/v1/oauth/token", data=first_party)).json()["error"] == "invalid_grant"
    wider = await partner.refresh(tokens["refresh_token"], scope="openid bookings:write")
    assert wider.json()["error"] == "invalid_scope"
    narrower = await partner.refresh(tokens["refresh_token"], scope="openid")
    assert narrower.json()["scope"] == "openid"
    assert problem(await client.get("/v1/me/bookings", headers=bearer(narrower.json()))) == "forbidden"


async def test_a_partner_acts_for_itself_within_its_scopes_and_roles(
    settings: Settings, client: httpx2.AsyncClient, new_event: dict[str, object]
) -> None:
    partner = await register(
        settings, client, grants=CREDENTIALS, scopes={Scope.EVENTS_WRITE, Scope.BOOKINGS_READ}, roles={Role.ORGANIZER}
    )
    tokens = (await partner.post("token", grant_type="client_credentials", scope="events:write")).json()
    assert "refresh_token" not in tokens
    drafted = await client.post("/v1/events", json=new_event, headers=bearer(tokens))
    assert drafted.json()["organizer_id"] == str(partner.id)
    assert problem(await client.get("/v1/me/bookings", headers=bearer(tokens))) == "forbidden"
    wider = await partner.post("token", grant_type="client_credentials", scope="events:write email")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")


async def test_only_who_is_registered_for_a_grant_gets_it(
    settings: Settings, client: httpx2.AsyncClient, partner: Partner
) -> None:
    answer = await partner.post("token", grant_type="client_credentials")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    for impostor in (
        Partner(client, partner.id, "wrong"),
        Partner(client, uuid4(), "x"),
        Partner(client, uuid4(), None),
    ):
        answer = await impostor.post("token", grant_type="client_credentials")
        assert answer.status_code in (400, 401)
        assert answer.json()["error"] == "invalid_client"
    for grant in ("password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", '"'):
        answer = await partner.post("token", grant_type=grant)
        assert answer.json()["error"] in {"unsupported_grant_type", "invalid_request"}


async def test_a_client_ends_what_it_holds_and_nothing_of_others(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person, other = await join(), await register(settings, client)
    tokens, others = await partner.tokens_of(person), await other.tokens_of(person)
    assert (await other.post("revoke", token=tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await partner.post("revoke", token="unknown")).status_code == 200
    assert (await partner.post("revoke", token=tokens["access_token"])).status_code == 200
    await eventually(lambda: refused_everywhere(client, tokens["access_token"]), within=5)
    heir = (await partner.refresh(tokens["refresh_token"])).json()
    assert (await partner.post("revoke", token=heir["refresh_token"])).status_code == 200
    assert (await partner.refresh(heir["refresh_token"])).json()["error"] == "invalid_grant"
    await eventually(lambda: refused_everywhere(client, heir["access_token"]), within=5)
    assert not await refused_everywhere(client, others["access_token"])
    assert not await refused_everywhere(client, person.access_token)


async def test_only_a_resource_server_may_ask_what_a_token_says(
    settings: Settings, client: httpx2.AsyncClient, join: Join, partner: Partner
) -> None:
    person = await join()
    tokens = await partner.tokens_of(person)
    answer = await partner.post("introspect", token=tokens["access_token"])
    assert (answer.status_code, problem(answer)) == (403, "forbidden")
    asker = await register(settings, client, grants=set(), may_introspect=True)
    for kind in ("access_token", "refresh_token"):
        said = (await asker.post("introspect", token=tokens[kind])).json()
        assert {name: said[name] for name in ("active", "sub", "client_id", "scope")} == {
            "active": True,
            "sub": person.id,
            "client_id": str(partner.id),
            "scope": "bookings:read email openid profile",
        }
    assert (await partner.post("revoke", token=tokens["refresh_token"])).status_code == 200
    assert (await asker.post("introspect", token=tokens["refresh_token"])).json() == {"active": False}

    async def inactive() -> bool:
        return bool((await asker.post("introspect", token=tokens["access_token"])).json() == {"active": False})

    await eventually(inactive, within=5)


@pytest.mark.parametrize("role", sample(["support", "operator"], 1, of="staff with an application"))
async def test_an_application_of_a_staff_member_has_none_of_their_powers(
    settings: Settings,
    client: httpx2.AsyncClient,
    join: Join,
    by_token: ByToken,
    new_event: dict[str, object],
    role: str,
) -> None:
    scopes = {Scope.BOOKINGS_READ, Scope.BOOKINGS_WRITE, Scope.EVENTS_READ, Scope.EVENTS_WRITE}
    partner = await register(settings, client, scopes=scopes)
    organizer, staff = by_token("organizer"), await join(role)
    event = (await client.post("/v1/events", json=new_event, headers=organizer.headers)).json()["id"]
    assert (await client.post(f"/v1/events/{event}/publish", headers=organizer.headers)).status_code == 200
    hold = {"event_id": event, "seats": ["A-1-1"]}
    booking = (await client.post("/v1/bookings", json=hold, headers=organizer.headers)).json()["id"]
    tokens = await partner.tokens_of(staff, scope=" ".join(sorted(scopes)))
    for method, path, body in (
        ("GET", f"/v1/bookings/{booking}", None),
        ("GET", f"/v1/bookings/{booking}/refunds", None),
        ("POST", f"/v1/bookings/{booking}/refund", {"reason": "Because."}),
        ("GET", f"/v1/events/{event}/sales", None),
        ("POST", f"/v1/events/{event}/cancel", None),
    ):
        answer = await client.request(method, path, json=body, headers=bearer(tokens))
        assert answer.status_code in (403, 404), path
    assert (await client.get(f"/v1/bookings/{booking}", headers=staff.headers)).status_code == 200
    again = (await partner.refresh(tokens["refresh_token"])).json()
    assert problem(await client.get(f"/v1/bookings/{booking}", headers=bearer(again))) == "not-found"


async def test_a_client_that_has_ended_can_do_nothing_any_more(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    partner = await register(settings, client, grants=CREDENTIALS, scopes={Scope.BOOKINGS_READ})
    code_partner = await register(settings, client)
    granted = await code_partner.tokens_of(await join())
    own = (await partner.post("token", grant_type="client_credentials")).json()
    assert not await refused_everywhere(client, own["access_token"])
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.begin() as connection:
        for each in (partner, code_partner):
            assert await clients.end(connection, each.id)
    await engine.dispose()
    assert (await partner.post("token", grant_type="client_credentials")).json()["error"] == "invalid_client"
    for tokens in (own, granted):
        await eventually(partial(refused_everywhere, client, tokens["access_token"]), within=5)
