"""A harness in which a test can break each guard without harm to other tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import httpx2
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis.asyncio import Redis
from sqlalchemy import make_url
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.elasticsearch import EventSearch
from adapters.kafka.client import CONSUMER_GROUPS, Publisher, dead_letters
from adapters.payment.stripe.gateway import StripeGateway
from adapters.redis.seat_locks import SeatLocks
from audit.connections import Connections
from audit.probes.kafka_log import KafkaLog
from audit.probes.sandbox_ledger import SandboxLedger
from config.settings import Service, Settings, secret
from db.databases import migrate
from db.engine import open_engine
from sandbox.testing import API_KEY, SandboxProcess
from stack import Stack
from temporal.connection import connect
from tests.audit.harness import PARTITIONS, Harness, on_sale
from tests.own_redis import own_redis

SERVICES: tuple[Service, ...] = ("reservation", "payment", "catalogue", "analytics")


@pytest.fixture(scope="session")
def admin(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(secret(settings.postgres_admin_dsn), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def made(settings: Settings, admin: psycopg.Connection) -> Iterator[dict[Service, str]]:
    """One database for each service, shared by this session's tests; each test has its own event."""
    names: dict[Service, str] = {service: f"audit_{service}_{uuid4().hex}" for service in SERVICES}
    for service, name in names.items():
        admin.execute(f'CREATE DATABASE "{name}"')
        migrate(service, _url(settings, name))
    yield names
    for name in names.values():
        _drop(admin, name)


@pytest.fixture
def databases(settings: Settings, admin: psycopg.Connection, made: dict[Service, str]) -> Iterator[dict[Service, str]]:
    """Each service's SQLAlchemy URL; the reservation service's is of the test's own, since its guards are there."""
    own = f"audit_{uuid4().hex}"
    admin.execute(f'CREATE DATABASE "{own}" TEMPLATE "{made["reservation"]}"')
    yield {service: _url(settings, own if service == "reservation" else name) for service, name in made.items()}
    _drop(admin, own)


def _url(settings: Settings, database: str) -> str:
    dsn = make_url(secret(settings.postgres_admin_dsn))
    return dsn.set(drivername="postgresql+psycopg", database=database).render_as_string(hide_password=False)


def _drop(admin: psycopg.Connection, database: str) -> None:
    admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')


@pytest.fixture(scope="session")
def redis_url(stack: Stack) -> Iterator[str]:
    with own_redis(stack, "audit") as url:
        yield url


@pytest.fixture(scope="session")
def prefix(settings: Settings) -> Iterator[str]:
    """The prefix of this session's topics."""
    kafka, prefix = AdminClient({"bootstrap.servers": settings.kafka_bootstrap}), f"audit-{uuid4().hex}."
    names = [f"{prefix}{name}" for name in ("reservation.events", *map(dead_letters, CONSUMER_GROUPS))]
    for created in kafka.create_topics([NewTopic(name, num_partitions=PARTITIONS) for name in names]).values():
        created.result(timeout=120)
    yield prefix
    for deleted in kafka.delete_topics(names).values():
        deleted.result(timeout=120)


@pytest.fixture(scope="session")
def alias(settings: Settings) -> Iterator[str]:
    """This session's search index."""
    alias = f"audit-{uuid4().hex}"
    yield alias
    httpx2.delete(f"{settings.elasticsearch_url}/{alias}-v4-1", timeout=120)


@pytest.fixture
async def search(settings: Settings, alias: str) -> AsyncIterator[EventSearch]:
    events = EventSearch(settings.elasticsearch_url, alias)
    events._client = events._slow  # on a busy machine an answer may take longer than callers wait
    await events.ensure_index()
    yield events
    await events.close()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox of this session, so that its wrong records affect no other tests."""
    process = SandboxProcess(tmp_path_factory.mktemp("audit-sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def temporal(settings: Settings, prefix: str) -> AsyncIterator[Client]:
    """The stack's Temporal; the test's workflows are terminated at its end."""
    client = await connect(settings)
    yield client
    async for found in client.list_workflows(f"TaskQueue = '{prefix}'"):
        execution = WorkflowExecution(workflow_id=found.id, run_id=found.run_id)
        request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
        try:
            await client.workflow_service.delete_workflow_execution(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # gone since an earlier test's end; the list lags a little
                raise


@pytest.fixture
async def harness(
    settings: Settings,
    databases: dict[Service, str],
    redis_url: str,
    sandbox: SandboxProcess,
    temporal: Client,
    prefix: str,
    search: EventSearch,
) -> AsyncIterator[Harness]:
    """A harness with one event on sale and no bookings."""
    async with AsyncExitStack() as closing:
        engines = {service: open_engine(url, pool_size=4, serves_callers=False) for service, url in databases.items()}
        for engine in engines.values():
            closing.push_async_callback(engine.dispose)
        redis = Redis.from_url(redis_url, decode_responses=True)
        raw = Redis.from_url(redis_url)
        provider, gateway = SandboxLedger(sandbox.url), StripeGateway(API_KEY, base_url=sandbox.url)
        for close in (redis.aclose, raw.aclose, provider.close, gateway.close):
            closing.push_async_callback(close)
        connections = Connections(
            databases=engines,
            redis=redis,
            temporal=temporal,
            provider=provider,
            kafka=KafkaLog(settings.kafka_bootstrap, prefix),
            search=search,
            event_ids=[await on_sale(engines["reservation"])],
            lag=timedelta(0),
            payment_window=timedelta(minutes=1),
        )
        publisher = await closing.enter_async_context(Publisher(settings.kafka_bootstrap, "audit-test"))
        yield Harness(connections, SeatLocks(raw), gateway, publisher, settings.kafka_bootstrap, prefix)
