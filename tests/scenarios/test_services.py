"""A booking passes through every service in its own process; none opens another's database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest

from config.settings import Settings, secret
from domain.identity import Role
from stack import Stack
from tests.buyer import Buyer
from tests.http_client import http_client, patient_client
from tests.platform_client import PlatformClient
from tests.proofs import prove_address
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive

SHARED = ("api", "work", "relay", "consume")
SPLIT: Mapping[str, tuple[str, ...]] = {
    "api": ("identity", "catalogue", "reservation", "search"),
    "work": ("catalogue", "reservation", "payment"),
    "relay": ("identity", "catalogue", "reservation", "payment"),
    "consume": ("notification", "search", "analytics"),
}
CALLED = ("api", "work")  # a caller waits for those, and not for long
WITHOUT_DATABASE = {"api-search", "consume-notification", "consume-search"}
ROUTES = {
    "identity": ("POST", "/v1/sessions"),
    "catalogue": ("POST", "/v1/events"),
    "reservation": ("POST", "/v1/bookings"),
    "search": ("GET", "/v1/search"),
}


@pytest.fixture(scope="module")
def addresses(stack: Stack) -> Iterator[dict[str, str]]:
    """The addresses of the API processes by service, while only split processes run."""
    for name in SHARED:
        stack.stop(name)
    started: list[str] = []
    addresses: dict[str, str] = {}
    internal = ""
    try:
        for like, services in SPLIT.items():
            for service in services:
                name = f"{like}-{service}"
                # The application name of libpq, by which Postgres shows the connections of each process.
                own = {"PGAPPNAME": name, "SEATWRIGHT_PAYMENT_STEPS": "remote"}
                if internal:
                    own["SEATWRIGHT_IDENTITY_URL"] = internal
                started.append(name)
                spawned = stack.spawn(name, like, "--only", service, env=own, wait=like in CALLED)
                if like == "api":
                    addresses[service] = f"http://127.0.0.1:{spawned.ports['api']}"
                if (like, service) == ("api", "identity"):
                    internal = f"http://127.0.0.1:{spawned.ports['api-internal']}"
        yield addresses
    finally:
        for name in started:
            # A consumer takes its leave, or its group would wait for it; of the others nothing is waited for.
            (stack.stop if name.startswith("consume") else stack.kill)(name)
        stack.up(*SHARED)


@pytest.fixture
async def services(addresses: dict[str, str]) -> AsyncIterator[dict[str, httpx2.AsyncClient]]:
    async with AsyncExitStack() as opened:
        yield {
            service: await opened.enter_async_context(patient_client(address)) for service, address in addresses.items()
        }


Clients = dict[str, httpx2.AsyncClient]


async def registered(services: Clients, settings: Settings) -> tuple[Buyer, str]:
    """A registered buyer, and the e-mail address."""
    email, password = f"{uuid4()}@example.test", "correct horse battery"
    made = await services["identity"].post("/v1/users", json={"email": email, "password": password, "name": "Ada"})
    assert made.status_code == 201, made.text
    prove_address(settings, made.json()["id"])
    session = await services["identity"].post("/v1/sessions", json={"email": email, "password": password})
    assert session.status_code == 201, session.text
    return Buyer(services["reservation"], UUID(made.json()["id"]), session.json()["access_token"]), email


async def published(services: Clients, organizer: Buyer) -> tuple[str, str]:
    """Publish an event at the catalogue; returns its id and name."""
    body = {
        "name": f"Event {uuid4()}",
        "category": "test",
        "venue": {"name": "Hall", "city": "Utrecht", "country": "NL", "latitude": 52.09, "longitude": 5.12},
        "starts_at": "2100-01-01T20:00:00Z",
        "currency": "EUR",
        "hold_seconds": 120,
        "sections": [{"name": "A", "kind": "seated", "rows": 2, "seats_per_row": 5, "price": 5000}],
    }
    catalogue = organizer.at(services["catalogue"])
    made = await catalogue.post("/v1/events", body)
    assert made.status_code == 201, made.text
    event = str(made.json()["id"])
    answer = await catalogue.post(f"/v1/events/{event}/publish")
    assert answer.status_code == 200, answer.text
    return event, str(body["name"])


async def test_one_booking_goes_through_all_services(
    platform: PlatformClient, services: Clients, settings: Settings
) -> None:
    buyer, email = await registered(services, settings)
    event, name = await published(services, platform.new_buyer(Role.ORGANIZER))
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    assert booking["status"] == "confirmed"
    assert len(booking["tickets"]) == 2

    async def found() -> bool:
        answer = await services["search"].get("/v1/search", params={"q": name})
        return answer.status_code == 200 and event in {hit["event_id"] for hit in answer.json()["hits"]}

    async def mailed() -> bool:
        async with http_client(settings.mail_ui_url) as mail:
            answer = await mail.get("/api/v1/search", params={"query": f'to:"{email}"'})
        return f"Your tickets for {name}" in {message["Subject"] for message in answer.json()["messages"]}

    async def counted() -> bool:
        return rows(settings, "seatwright_analytics", f"SELECT revenue FROM sales WHERE event_id = '{event}'") == [
            (10000,)
        ]

    for outcome in (found, mailed, counted):
        await eventually(outcome, within=60)

    seats = await services["reservation"].get(f"/v1/events/{event}/seats")
    assert [seat["status"] for seat in seats.json()["sections"][0]["seats"]][:3] == ["sold", "sold", "available"]


async def test_each_process_opens_only_its_own_database(
    platform: PlatformClient, services: Clients, settings: Settings
) -> None:
    buyer, _ = await registered(services, settings)
    event, _ = await published(services, platform.new_buyer(Role.ORGANIZER))
    await buyer.bought(event, "A-1-1")
    await services["search"].get("/v1/search")
    databases = {f"{like}-{service}": service for like, split in SPLIT.items() for service in split}
    expected = {
        (name, f"seatwright_{service}", f"seatwright_{service}")
        for name, service in databases.items()
        if name not in WITHOUT_DATABASE
    }

    def opened() -> set[tuple[Any, ...]]:
        return {row for row in rows(settings, "postgres", _SESSIONS) if row[0] in databases}

    await eventually(lambda: opened() == expected, within=60)
    assert opened() == expected


_SESSIONS = "SELECT application_name, datname::text, usename::text FROM pg_stat_activity WHERE datname IS NOT NULL"


@pytest.mark.parametrize("service", ROUTES)
async def test_a_process_answers_404_for_routes_of_another_service(services: Clients, service: str) -> None:
    for other, (method, path) in ROUTES.items():
        answer = await services[service].request(method, path)
        if other == service:
            assert answer.status_code != 404
        else:
            assert answer.status_code in (404, 405), (other, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


def rows(settings: Settings, database: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(secret(settings.postgres_admin_dsn), dbname=database) as connection:
        return connection.execute(query).fetchall()
