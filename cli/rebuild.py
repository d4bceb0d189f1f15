"""Rebuilds what consumers have made of messages, from the logs of domain events, which Kafka keeps for thirty days."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC
from typing import Final, get_args

import typer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.elasticsearch import EventSearch
from adapters.kafka.cloud_events import CloudEvent
from cli import audit_log
from config.settings import Service, Settings, settings
from db import outbox
from db.analytics import sales
from db.engine import open_engine
from domain.domain_events import DOMAIN_EVENTS, DomainEvent, EventCancelled, EventPublished
from domain.problems import Refused
from workers.consumers import analytics
from workers.consumers.search import Indexer

rebuild_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Rebuild sales figures or the search index from all domain events."
)

_PAGE: Final = 1000


@rebuild_app.callback()
def _of_rebuilding() -> None:
    """Rebuild sales figures or the search index from all domain events."""


@rebuild_app.command(name="sales")
def rebuild_sales() -> None:
    """Count all sales again; safe to repeat. Until the end, readers see the old figures, and the consumer waits."""
    typer.echo(f"{_done(_sales(settings()))} domain events counted")


@rebuild_app.command(name="search")
def rebuild_search() -> None:
    """Write all events into the search index; safe to repeat. The index keeps what is newer."""
    typer.echo(f"{_done(_search(settings()))} domain events indexed")


def _done(work: Coroutine[None, None, int]) -> int:
    """The result of the work; exits with 2 if a server does not do its part."""
    try:
        return asyncio.run(work)
    except DBAPIError as error:
        why = f"{error.orig}"
    except Refused as error:
        why = f"{error}"
    typer.echo(f"not rebuilt: {why.strip().rstrip('.')}. Repeat the command.", err=True)
    raise typer.Exit(2)


async def _sales(settings: Settings) -> int:
    await audit_log.record(settings, "sales.rebuilt", "service/analytics")
    async with _opened(settings, "reservation") as reservation, _opened(settings, "analytics") as counted:
        return await recount(reservation, counted)


async def recount(reservation: AsyncEngine, counted: AsyncEngine) -> int:
    """Replace all sales figures by those of the reservation service's log; how many domain events they are of.

    It is one transaction. What the relay publishes in the meantime waits at its consumer, which finds in the inbox
    what has been counted here.
    """
    figures: defaultdict[sales.Figures, Counter[str]] = defaultdict(Counter)
    number = 0
    async with counted.begin() as connection, aclosing(_logged(reservation, get_args(sales.Sale))) as pages:
        await sales.lock(connection)
        async for page in pages:
            for event in page:
                assert isinstance(event.data, sales.Sale)
                for row, added in sales.changes_of(event.data, event.time.date()).items():
                    figures[row].update(added)
            await sales.note_all(connection, analytics.GROUP, [event.id for event in page])
            number += len(page)
        await sales.replace_all(connection, figures)
    return number


async def _search(settings: Settings) -> int:
    await audit_log.record(settings, "search.rebuilt", "service/search")
    events = EventSearch(settings.elasticsearch_url)
    try:
        async with _opened(settings, "catalogue") as catalogue:
            return await index_again(catalogue, events)
    finally:
        await events.close()


async def index_again(catalogue: AsyncEngine, events: EventSearch) -> int:
    """Index what the catalogue's log says of each event; how many domain events these are.

    Versions make it safe at any time, also beside the consumer.
    """
    await events.ensure_index()
    indexer, number = Indexer(events), 0
    async with aclosing(_logged(catalogue, (EventPublished, EventCancelled))) as pages:
        async for page in pages:
            for event in page:
                await indexer.handle(event)
            number += len(page)
    return number


async def _logged(engine: AsyncEngine, kinds: Iterable[type[DomainEvent]]) -> AsyncGenerator[list[CloudEvent], None]:
    """The domain events of these kinds in a service's log, in pages, each aggregate's in order."""
    types = [name for name, model in DOMAIN_EVENTS.items() if issubclass(model, tuple(kinds))]
    after = outbox.BEGINNING
    while True:
        async with engine.connect() as connection:  # not kept open: readers of old rows hinder the vacuum
            page = await outbox.logged(connection, types, after=after, limit=_PAGE)
        if page:
            yield [_event(each) for each in page]
            after = page[-1].aggregate_id, page[-1].sequence
        if len(page) < _PAGE:
            return


def _event(each: outbox.Logged) -> CloudEvent:
    return CloudEvent(
        id=each.id,
        source="/seatwright/log",
        time=each.occurred_at.astimezone(UTC),
        subject=each.aggregate_id,
        sequence=each.sequence,
        data=DOMAIN_EVENTS[each.type].model_validate(each.data),
    )


@asynccontextmanager
async def _opened(settings: Settings, service: Service) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(settings.database_url(service), pool_size=2, serves_callers=False)
    try:
        yield engine
    finally:
        await engine.dispose()
