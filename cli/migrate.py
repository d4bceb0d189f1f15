"""Creates or updates the databases, the Kafka topics, the search index and the demo accounts."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.elasticsearch import EventSearch
from adapters.internal.personal_data import Purpose
from adapters.kafka.brokers import fault_of_offsets
from adapters.kafka.client import create_topics
from api.auth.key_ring import ensure_keys
from api.identity.context import open_vault
from api.identity.demo_accounts import seed_accounts
from api.identity.personal_data import sealed_text
from cli.copies import complete_copies
from config.settings import SERVICES_WITH_DATABASE, Settings, secret
from db.databases import ServiceDatabase, prepare
from db.engine import open_engine
from db.identity import accounts
from db.reservation.refunds import reasons

_REASONS_AT_ONCE: Final = 500


async def migrate(settings: Settings) -> None:
    """Create or update everything that the processes need; safe to repeat.

    Raises:
        ValueError: No `SEATWRIGHT_POSTGRES_ADMIN_DSN` is set.
    """
    if settings.postgres_admin_dsn is None:
        raise ValueError("set SEATWRIGHT_POSTGRES_ADMIN_DSN: the migration creates databases and roles")
    console = Console()
    urls = {
        service: ServiceDatabase(
            owner=settings.database_url(service, owner=True), application=settings.database_url(service)
        )
        for service in SERVICES_WITH_DATABASE
    }
    prepare(secret(settings.postgres_admin_dsn), urls)
    console.print(f"databases: {', '.join(SERVICES_WITH_DATABASE)}")
    warnings = Console(stderr=True, soft_wrap=True)
    if left := await complete_copies(settings):
        events = ", ".join(sorted(map(str, left)))
        warnings.print(f"warning: these events are sold at the moment; run migrate again to complete them: {events}")
    await seal_reasons(settings)
    create_topics(settings.kafka_bootstrap)
    console.print("topics: ready")
    if fault := fault_of_offsets(settings.kafka_bootstrap):
        warnings.print(f"warning: {fault}")
    await _index(settings)
    console.print("search index: ready")
    await _signing_keys(settings)
    console.print("signing keys: ready")
    if settings.mode == "development":
        await _accounts(settings)
        console.print("demo accounts: buyer@, organizer@, support@ and operator@example.test")


async def seal_reasons(settings: Settings) -> None:
    """Seal the reasons of refunds that an earlier version stored in clear; those of erased buyers go.

    As `complete_copies`, it reaches two databases.
    """
    reservation = open_engine(settings.database_url("reservation"), pool_size=2)
    identity = open_engine(settings.database_url("identity"), pool_size=2)
    try:
        async with identity.connect() as keys:
            while await _seal_some(settings, reservation, keys):
                pass
    finally:
        await reservation.dispose()
        await identity.dispose()


async def _seal_some(settings: Settings, reservation: AsyncEngine, keys: AsyncConnection) -> int:
    """Seal the next reasons in one transaction; how many there were."""
    async with reservation.begin() as connection:
        found = await reasons.in_clear(connection, limit=_REASONS_AT_ONCE)
        vault = open_vault(settings) if found else None
        for each in found:
            assert vault
            key = await accounts.key_of(keys, vault, each.user_id)
            sealed = sealed_text(key, Purpose.REFUND_REASON, each.reason) if key else None
            await reasons.replace(connection, each.refund_id, sealed)
        return len(found)


async def _index(settings: Settings) -> None:
    search = EventSearch(settings.elasticsearch_url)
    try:
        await search.ensure_index()
    finally:
        await search.close()


async def _signing_keys(settings: Settings) -> None:
    engine = open_engine(settings.database_url("identity"), pool_size=2)
    try:
        async with engine.begin() as connection:
            await ensure_keys(connection, settings)
    finally:
        await engine.dispose()


async def _accounts(settings: Settings) -> None:
    engine = open_engine(settings.database_url("identity"), pool_size=2)
    try:
        await seed_accounts(engine, open_vault(settings))
    finally:
        await engine.dispose()
