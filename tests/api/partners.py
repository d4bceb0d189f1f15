"""Applications of others, as tests register them, and the way of a person through their permission."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx2
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from config.settings import Settings
from db.engine import open_engine
from db.identity import clients
from domain.identity import Role, Scope, SigningAlgorithm
from tests.api.people import Person

RETURN = "https://app.example.test/back"
PAGE = "/v1/oauth/authorize"
_CONSENT: Final[re.Pattern[str]] = re.compile(r'name="consent" value="([^"]+)"')


@dataclass(frozen=True)
class Partner:
    """A registered client, and how it talks to us."""

    http: httpx2.AsyncClient
    id: UUID
    secret: str | None

    async def post(self, path: str, **form: str) -> httpx2.Response:
        """Call an endpoint as this client."""
        if self.secret is None:
            return await self.http.post(f"/v1/oauth/{path}", data={"client_id": str(self.id), **form})
        return await self.http.post(f"/v1/oauth/{path}", data=form, auth=(str(self.id), self.secret))

    def request(self, verifier: str, **other: str | None) -> dict[str, str]:
        """The parameters of an authorization request; None leaves one out."""
        usual: dict[str, str | None] = {
            "response_type": "code",
            "client_id": str(self.id),
            "redirect_uri": RETURN,
            "scope": "openid profile email bookings:read",
            "state": "st",
            "nonce": "no",
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (usual | other).items() if value is not None}

    async def ask(self, person: Person, verifier: str, **other: str | None) -> dict[str, str]:
        """The person reads the page and allows it; what the client gets at its address."""
        asked = self.request(verifier, **other)
        page = await self.http.get(PAGE, params=asked)
        assert page.status_code == 200, page.text
        answer = await log_in_for(self.http, person, asked)
        return told(answer if answer.status_code == 302 else await allow(self.http, answer, asked))

    async def exchange(self, code: str, verifier: str, **other: str) -> httpx2.Response:
        form = {"code": code, "redirect_uri": RETURN, "code_verifier": verifier} | other
        return await self.post("token", grant_type="authorization_code", **form)

    async def refresh(self, refresh_token: str, **other: str) -> httpx2.Response:
        return await self.post("token", grant_type="refresh_token", refresh_token=refresh_token, **other)

    async def tokens_of(self, person: Person, **other: str | None) -> dict[str, Any]:
        """All the way: the tokens that the person grants."""
        verifier = secrets.token_urlsafe(40)
        answer = await self.exchange((await self.ask(person, verifier, **other))["code"], verifier)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def log_in_for(http: httpx2.AsyncClient, person: Person, asked: Mapping[str, str]) -> httpx2.Response:
    """The person logs in on the page: where that leads."""
    shown = {"email": person.email, "password": person.password, "decision": "allow"}
    return await http.post(PAGE, data={**asked, **shown})


async def allow(http: httpx2.AsyncClient, page: httpx2.Response, asked: Mapping[str, str]) -> httpx2.Response:
    """The person allows what the page says."""
    return await http.post(PAGE, data={**asked, "consent": consent_on(page), "decision": "allow"})


def consent_on(page: httpx2.Response) -> str:
    """The word on the page with which the person can decide."""
    assert page.status_code == 200, page.text
    return str(_CONSENT.findall(page.text)[0])


def told(answer: httpx2.Response) -> dict[str, str]:
    """The query of the client's address to which an answer leads."""
    assert answer.status_code == 302, answer.text
    where = urlsplit(answer.headers["location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == RETURN
    return {name: values[0] for name, values in parse_qs(where.query).items()}


async def register(
    settings: Settings,
    http: httpx2.AsyncClient,
    *,
    grants: set[str] | None = None,
    scopes: set[Scope] | None = None,
    roles: set[Role] | None = None,
    is_public: bool = False,
    may_introspect: bool = False,
    id_token_algorithm: SigningAlgorithm = SigningAlgorithm.RS256,
    redirect_uri: str = RETURN,
) -> Partner:
    """Register a client as `seatwright clients add` does."""
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.begin() as connection:
        client_id, secret = await clients.add(
            connection,
            "A <b>partner</b>",
            redirect_uris=[redirect_uri],
            grants={"authorization_code", "refresh_token"} if grants is None else grants,
            scopes={Scope.OPENID, Scope.PROFILE, Scope.EMAIL, Scope.BOOKINGS_READ} if scopes is None else scopes,
            roles=roles or set(),
            is_public=is_public,
            may_introspect=may_introspect,
            id_token_algorithm=id_token_algorithm,
        )
    await engine.dispose()
    return Partner(http, client_id, secret)


def bearer(tokens: Mapping[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}
