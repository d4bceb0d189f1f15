"""Services can be split across processes and databases; what is down is said to be down, in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import permutations
from typing import Any

import httpx2
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from api.app import create_app
from config.needs import NEEDS, Verb, needs_of
from config.settings import SECRETS, SERVICES_WITH_DATABASE, Service, Settings, role_password, secret
from config.tracing import configure as configure_tracing
from db.databases import ServiceDatabase, prepare
from db.engine import open_engine
from tests.api.conftest import ByToken
from tests.api.people import problem
from tests.http_client import is_ready
from tests.pace import watch
from tests.provider_settings import given, provider_secrets
from tests.scale import sample
from tests.waiting import eventually
from workers import consumers, relay
from workers.process import Work
from workers.temporal import worker

CLOSED_PORT = 1
ROUTES = {
    "identity": ("POST", "/v1/sessions"),
    "catalogue": ("POST", "/v1/events"),
    "reservation": ("GET", "/v1/events/0190b6f0-0000-7000-8000-000000000000/seats"),
    "search": ("GET", "/v1/search"),
}


@asynccontextmanager
async def serving(settings: Settings, *only: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API process's application with these settings, called without a network."""
    app = create_app(settings, only)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        yield client


@pytest.mark.parametrize("service", ROUTES)
async def test_a_process_serves_the_routes_of_its_services_only(settings: Settings, service: str) -> None:
    async with serving(settings, service) as client:
        for name, (method, path) in ROUTES.items():
            answer = await client.request(method, path)
            is_route = not (answer.status_code == 404 and answer.json().get("detail") == "Not Found")
            assert is_route is (name == service), name


async def test_a_process_refuses_to_serve_an_unknown_service(settings: Settings) -> None:
    with pytest.raises(ValueError, match="analytics"):
        create_app(settings, {"catalogue", "analytics"})


@pytest.mark.parametrize(("role", "database"), list(permutations(SERVICES_WITH_DATABASE, 2)))
@pytest.mark.parametrize("owner", [False, True], ids=["application", "owner"])
def test_a_role_of_one_service_cannot_connect_to_another_services_database(
    settings: Settings, role: Service, database: Service, owner: bool
) -> None:
    own = make_url(settings.database_url(role, owner=owner))
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(own.set(drivername="postgresql", database=f"seatwright_{database}").render_as_string(False))


@pytest.mark.parametrize("service", ["identity", "catalogue", "reservation"])
async def test_the_application_can_neither_rewrite_history_nor_change_its_tables(
    settings: Settings, service: Service
) -> None:
    url = make_url(settings.database_url(service)).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "UPDATE domain_events SET type = 'x'",
            "DELETE FROM domain_events",
            "TRUNCATE domain_events",
            "DROP TABLE outbox",
            "CREATE TABLE mine (id int)",
            "CREATE TEMPORARY TABLE mine (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_preparing_the_databases_again_changes_nothing(settings: Settings) -> None:
    urls = {
        service: ServiceDatabase(settings.database_url(service, owner=True), settings.database_url(service))
        for service in SERVICES_WITH_DATABASE
    }
    prepare(secret(settings.postgres_admin_dsn), urls)


ALONE: list[tuple[Verb, str]] = [(verb, service) for verb in NEEDS for service in NEEDS[verb]]


def own_settings(settings: Settings, verb: Verb, service: str) -> Settings:
    """The settings of one production process that knows the stack's addresses and nothing but its own secrets."""
    public = {name: value for name, value in settings if name not in (*SECRETS, "postgres_admin_dsn", "mode")}
    remote = Settings.model_validate(public | {"mode": "production", "payment_steps": "remote"})
    needs = needs_of(remote, verb, [service])
    seed = secret(settings.postgres_role_secret)
    roles = [f"seatwright_{database}" for database in needs.databases]
    own: dict[str, Any] = {name: getattr(settings, name) for name in needs.secrets}
    passwords = {role: SecretStr(role_password(seed, role)) for role in roles}
    own["provider_variables"] = given(provider_secrets(verb, service))
    alone = remote.model_copy(update=own | {"postgres_passwords": passwords})
    alone.require(needs.secrets, needs.databases)
    assert {name for name in SECRETS if getattr(alone, name)} == needs.secrets
    return alone


@pytest.mark.parametrize("service", NEEDS["serve"])
async def test_each_service_of_the_api_is_ready_with_its_own_secrets_alone(settings: Settings, service: str) -> None:
    async with serving(own_settings(settings, "serve", service), service) as client:
        await eventually(partial(is_ready, client))


RUNS: Mapping[Verb, Work] = {"work": worker.run, "relay": relay.run, "consume": consumers.run}


@pytest.mark.parametrize(
    ("verb", "service"),
    [row for verb in RUNS for row in sample([row for row in ALONE if row[0] == verb], 1, of=f"who runs to {verb}")],
)
async def test_each_worker_is_ready_with_its_own_secrets_alone(settings: Settings, verb: Verb, service: str) -> None:
    configure_tracing()  # as the command does; Temporal's plugin for workers requires it
    ready, stop = asyncio.Event(), asyncio.Event()
    running = asyncio.ensure_future(RUNS[verb](own_settings(settings, verb, service), [service], ready, stop))
    started = asyncio.ensure_future(ready.wait())
    await asyncio.wait({running, started}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    started.cancel()
    await running
    assert ready.is_set()


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/sessions", {"json": {"email": "buyer@example.test", "password": "x"}}),
    ("GET", "/v1/events/0190b6f0-0000-7000-8000-000000000000", {}),
    ("GET", "/v1/events/0190b6f0-0000-7000-8000-000000000000/seats", {}),
]


async def test_without_postgres_the_answer_is_503_within_two_seconds(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"postgres_port": CLOSED_PORT})) as client:
        for method, path, given in CALLS:
            await _assert_unavailable(client, method, path, **given)


async def test_without_elasticsearch_search_is_503_within_two_seconds(settings: Settings) -> None:
    down = settings.model_copy(update={"elasticsearch_url": f"http://127.0.0.1:{CLOSED_PORT}"})
    async with serving(down, "search") as client:
        await _assert_unavailable(client, "GET", "/v1/search?q=hamlet")
        await _assert_unavailable(client, "GET", "/v1/search/suggest?q=ham")


async def test_without_temporal_publishing_is_503_within_two_seconds(
    settings: Settings, client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any]
) -> None:
    organizer = by_token("organizer")
    drafted = await client.post("/v1/events", json=new_event, headers=organizer.headers)
    down = settings.model_copy(update={"temporal_address": f"127.0.0.1:{CLOSED_PORT}"})
    async with serving(down, "catalogue") as without:
        path = f"/v1/events/{drafted.json()['id']}/publish"
        await _assert_unavailable(without, "POST", path, headers=organizer.headers)


async def test_readiness_names_what_is_down_within_two_seconds(settings: Settings) -> None:
    async with serving(settings, "catalogue") as client:
        await eventually(partial(is_ready, client))
    down = settings.model_copy(
        update={"postgres_port": CLOSED_PORT, "redis_url": SecretStr(f"redis://127.0.0.1:{CLOSED_PORT}")}
        | {"temporal_address": f"127.0.0.1:{CLOSED_PORT}", "identity_url": f"http://127.0.0.1:{CLOSED_PORT}"}
    )
    async with serving(down, "catalogue") as client:
        with watch() as taken:
            answer = await client.get("/readyz")
        assert taken.seconds < taken.allows(2)
        assert answer.status_code == 503
        checks = answer.json()["checks"]
        assert set(checks) == {"postgres/catalogue", "redis", "temporal", "keys"}
        assert "ok" not in checks.values()
        assert (await client.get("/livez")).status_code == 200


async def test_a_process_that_can_check_no_token_is_not_ready(settings: Settings) -> None:
    alone = settings.model_copy(update={"identity_url": f"http://127.0.0.1:{CLOSED_PORT}"})
    async with serving(alone, "catalogue") as client:

        async def lacks_keys_alone() -> bool:
            answer = await client.get("/readyz")
            if answer.status_code != 503:
                pytest.fail(answer.text)
            return {name for name, outcome in answer.json()["checks"].items() if outcome != "ok"} == {"keys"}

        await eventually(lacks_keys_alone)


async def test_an_unexpected_error_is_a_500_that_reveals_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings, "identity") as client:
        monkeypatch.setattr("api.auth.tokens.AccessTokens.jwks", _fails)
        answer = await client.get("/.well-known/jwks.json")
    assert (answer.status_code, problem(answer)) == (500, "internal")
    assert "secret" not in answer.text


async def test_a_database_error_does_not_show_the_values_of_its_statement(settings: Settings) -> None:
    engine = open_engine(settings.model_copy(update={"postgres_port": CLOSED_PORT}).database_url("identity"))
    with pytest.raises(OperationalError) as raised:
        async with engine.connect():
            pass
    assert str(make_url(settings.database_url("identity")).password) not in str(raised.value)
    assert engine.sync_engine.hide_parameters, "an e-mail address could reach a log"


def _fails(_self: object) -> None:
    raise RuntimeError("secret")


async def _assert_unavailable(client: httpx2.AsyncClient, method: str, path: str, **given: Any) -> None:
    with watch() as taken:
        answer = await client.request(method, path, **given)
    assert taken.seconds < taken.allows(2)
    assert (answer.status_code, problem(answer)) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
