"""People with roles, and a client that speaks to the running API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from api.auth.tokens import Principal
from config.settings import Settings, secret
from domain.identity import Role
from tests.api.mails import MailBox
from tests.api.people import Person, log_in
from tests.http_client import http_client, patient_client
from tests.tokens import access_tokens

Join = Callable[..., Awaitable[Person]]
ByToken = Callable[..., Person]


@pytest.fixture
async def client(api_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with patient_client(api_url) as opened:
        yield opened


@pytest.fixture
def by_token(settings: Settings) -> ByToken:
    """A new person with a token and without an account; the roles are added to `customer`.

    For tests in which a person acts and identity need not know them: to register and log in costs two hashes of a
    password and a mail.
    """
    return partial(_with_a_token, settings)


def _with_a_token(settings: Settings, *roles: str) -> Person:
    user_id, given = uuid4(), frozenset({Role.CUSTOMER, *map(Role, roles)})
    token = access_tokens(settings).issue(Principal(user_id, given, is_proven=True))
    return Person(str(user_id), "", "", token, "")


@pytest.fixture
def join(client: httpx2.AsyncClient, settings: Settings) -> Join:
    """Registers a new person, with the roles given beside `customer`; the address is new if none is given."""

    async def joined(*roles: str, email: str | None = None) -> Person:
        email, password = email or f"{uuid4()}@example.test", "correct horse battery"
        made = await client.post("/v1/users", json={"email": email, "password": password, "name": "Test Person"})
        assert made.status_code == 201, made.text
        if roles:
            given, operator = {"roles": ["customer", *roles]}, _with_a_token(settings, "operator")
            changed = await client.put(f"/v1/users/{made.json()['id']}/roles", json=given, headers=operator.headers)
            assert changed.status_code == 200, changed.text
        return await log_in(client, email, password)

    return joined


@pytest.fixture
def new_event() -> dict[str, Any]:
    """A body that `POST /v1/events` takes."""
    return {
        "name": "Hamlet",
        "category": "theatre",
        "venue": {"name": "Globe", "city": "London", "country": "GB", "latitude": 51.508, "longitude": -0.097},
        "starts_at": "2100-05-01T19:30:00Z",
        "currency": "EUR",
        "hold_seconds": 120,
        "sections": [
            {"name": "A", "kind": "seated", "rows": 2, "seats_per_row": 3, "price": 4500},
            {"name": "Standing", "kind": "general", "capacity": 10, "price": 2000},
        ],
    }


@pytest.fixture
async def mailbox(settings: Settings) -> AsyncIterator[MailBox]:
    async with http_client(settings.mail_ui_url) as http:
        yield MailBox(http)


@pytest.fixture
def superuser(settings: Settings) -> Iterator[psycopg.Connection]:
    """Identity's database, with a superuser's rights."""
    with psycopg.connect(secret(settings.postgres_admin_dsn), dbname="seatwright_identity", autocommit=True) as opened:
        yield opened
