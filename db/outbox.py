"""The append-only log of domain events and its outbox: the same two tables in every service's database.

A state change and its domain event are one transaction. The relay publishes the outbox afterwards, in order for each
aggregate.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import psycopg
from opentelemetry import propagate
from sqlalchemy import BigInteger, Computed, Identity, SmallInteger, Text, make_url, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from db.engine import open_engine
from domain.domain_events import DomainEvent

BUCKETS = 16
"""The number of parts of an outbox that relays share; an aggregate always has the same one."""

CHANNEL = "outbox"
"""The NOTIFY channel that wakes the relay."""

RELAYS_CHANGED = "relays"
"""The payload on that channel when relays come or go, or give up buckets; new rows have none."""


class ServiceBase(DeclarativeBase):
    """Base for a service's tables; each service makes its own subclass, and so its own metadata."""

    __abstract__ = True
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=True),
        str: Text(),
        dict[str, Any]: JSONB(),
    }


class DomainEventColumns:
    """Columns of `domain_events`: never updated or deleted, neither by role nor by trigger."""

    __tablename__ = "domain_events"

    aggregate_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True, server_default=text("uuidv7()"))
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class OutboxColumns:
    """Columns of `outbox`: rows wait here until Kafka has acknowledged them."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    domain_event_id: Mapped[UUID]
    aggregate_id: Mapped[UUID]
    sequence: Mapped[int]
    topic: Mapped[str]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    traceparent: Mapped[str | None]
    occurred_at: Mapped[datetime]

    @declared_attr
    def bucket(cls) -> Mapped[int]:
        """The part of the outbox that the row belongs to, from 0 to `BUCKETS` - 1, computed by Postgres."""
        return mapped_column(SmallInteger, Computed(f"uuid_hash(aggregate_id) & {BUCKETS - 1}", persisted=True))


_APPEND = text(
    """
    WITH appended AS (
        INSERT INTO domain_events (aggregate_id, sequence, type, data)
        SELECT :aggregate_id, coalesce(max(sequence), 0) + 1, :type, CAST(:data AS jsonb)
        FROM domain_events WHERE aggregate_id = :aggregate_id
        RETURNING id, aggregate_id, sequence, type, data, occurred_at
    )
    INSERT INTO outbox (domain_event_id, aggregate_id, sequence, topic, type, data, traceparent, occurred_at)
    SELECT id, aggregate_id, sequence, :topic, type, data, :traceparent, occurred_at FROM appended
    """
)


async def append(connection: AsyncConnection, aggregate_id: UUID, event: DomainEvent) -> None:
    """Append a domain event to its aggregate and to the outbox, in the caller's transaction.

    The caller holds the aggregate's row lock, so sequences have no gaps and no duplicates.
    """
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    await connection.execute(
        _APPEND,
        {
            "aggregate_id": aggregate_id,
            "type": event.type,
            "data": event.model_dump_json(exclude={"type"}),
            "topic": event.topic,
            "traceparent": carrier.get("traceparent"),
        },
    )


class Logged(NamedTuple):
    """A domain event in the log."""

    id: UUID
    aggregate_id: UUID
    sequence: int
    type: str
    data: dict[str, Any]
    occurred_at: datetime


BEGINNING = (UUID(int=0), 0)
"""The place before the first domain event of the log."""


async def logged(
    connection: AsyncConnection, types: Iterable[str], *, after: tuple[UUID, int], limit: int
) -> list[Logged]:
    """The next domain events of these types, by aggregate and sequence.

    Args:
        connection: To the database of a service.
        types: Their names on the wire.
        after: Aggregate and sequence of the last one that was read, or `BEGINNING`.
        limit: The most that are read.
    """
    aggregate, sequence = after
    parameters = {"types": list(types), "aggregate": aggregate, "sequence": sequence, "limit": limit}
    return [Logged(*row) for row in await connection.execute(_LOGGED, parameters)]


_LOGGED = text(
    """
    SELECT id, aggregate_id, sequence, type, data, occurred_at FROM domain_events
    WHERE (aggregate_id, sequence) > (:aggregate, :sequence) AND type = ANY (CAST(:types AS text[]))
    ORDER BY aggregate_id, sequence LIMIT :limit
    """
)


# The relay's statements. Its connection is in autocommit: each statement stands alone; locks belong to the session.

_LOCKS = 0x0B0C5  # the advisory locks' first key; the second is a bucket, or MEMBERS
_MEMBERS = BUCKETS  # every relay shares this lock, so that relays can count each other


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A row that waits to be published; `data` is JSON text."""

    id: int
    domain_event_id: UUID
    aggregate_id: UUID
    sequence: int
    topic: str
    type: str
    data: str
    traceparent: str | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Shares:
    """Who owns which buckets of one outbox, as one relay sees it.

    Attributes:
        mine: Buckets whose lock this relay's session holds.
        free: Buckets that no relay holds.
        fair: How many buckets this relay should hold, given the number of relays.
    """

    mine: frozenset[int]
    free: frozenset[int]
    fair: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits in an outbox, and for how long its oldest row has."""

    rows: int
    oldest_seconds: float


@asynccontextmanager
async def relay_session(url: str) -> AsyncIterator[AsyncConnection]:
    """A session that listens and counts as a relay. Its end, for any reason, releases its buckets.

    Each side notices within seconds that the other is gone, so that buckets are not orphaned.
    """
    lively = {"keepalives_idle": "5", "keepalives_interval": "2", "tcp_user_timeout": "10000"}
    engine = open_engine(make_url(url).update_query_dict(lively).render_as_string(hide_password=False), pool_size=2)
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.exec_driver_sql("SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2")
            await connection.exec_driver_sql(f"SELECT pg_advisory_lock_shared({_LOCKS}, {_MEMBERS})")
            await connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            await _tell_relays(connection)
            yield connection
            await connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            await _tell_relays(connection)
    finally:
        await engine.dispose()


async def _tell_relays(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql(f"NOTIFY {CHANNEL}, '{RELAYS_CHANGED}'")


_SHARES = text(
    f"""
    SELECT objid::int AS key, pid, pid = pg_backend_pid() AS mine FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = {_LOCKS} AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


async def shares(connection: AsyncConnection) -> Shares:
    """Read which relay owns which buckets. Every relay computes the same shares."""
    locks = (await connection.execute(_SHARES)).all()
    relays = sorted(lock.pid for lock in locks if lock.key == _MEMBERS)
    (rank,) = (relays.index(lock.pid) for lock in locks if lock.key == _MEMBERS and lock.mine)
    taken = {lock.key: lock.mine for lock in locks if lock.key != _MEMBERS}
    return Shares(
        mine=frozenset(bucket for bucket, mine in taken.items() if mine),
        free=frozenset(range(BUCKETS)) - taken.keys(),
        fair=BUCKETS // len(relays) + (rank < BUCKETS % len(relays)),
    )


async def claim(connection: AsyncConnection, buckets: Sequence[int]) -> None:
    """Try to own these buckets; `shares` shows the result."""
    statement = text(f"SELECT pg_try_advisory_lock({_LOCKS}, bucket) FROM unnest(CAST(:buckets AS int[])) AS bucket")
    await connection.execute(statement, {"buckets": list(buckets)})


async def release(connection: AsyncConnection, buckets: Sequence[int]) -> None:
    """Release buckets for other relays. None of their messages may be on its way to the broker."""
    statement = text(f"SELECT pg_advisory_unlock({_LOCKS}, bucket) FROM unnest(CAST(:buckets AS int[])) AS bucket")
    await connection.execute(statement, {"buckets": list(buckets)})
    await _tell_relays(connection)


async def notifications(connection: AsyncConnection, at_most: float) -> set[str]:
    """Wait for a notification, for `at_most` seconds. Returns all that have arrived.

    Returns:
        The payloads: empty text for new rows, or RELAYS_CHANGED.
    """
    raw = await connection.get_raw_connection()
    session = raw.driver_connection
    assert isinstance(session, psycopg.AsyncConnection)
    if found := await _arrived(session):
        return found
    await _readable(session.fileno(), at_most)
    return await _arrived(session)


async def _arrived(session: psycopg.AsyncConnection) -> set[str]:
    return {notification.payload async for notification in session.notifies(timeout=0)}


async def _readable(fileno: int, at_most: float) -> None:
    """Wait until the server sends something. The driver's own wait polls ten times a second."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fileno, readable.set)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(readable.wait(), at_most)
    finally:
        loop.remove_reader(fileno)


_WAITING = text(
    """
    SELECT id, domain_event_id, aggregate_id, sequence, topic, type, data, traceparent, occurred_at
    FROM unnest(CAST(:buckets AS smallint[])) AS owned(bucket)
    CROSS JOIN LATERAL (
        SELECT id, domain_event_id, aggregate_id, sequence, topic, type, (data - 'type')::text AS data, traceparent,
               occurred_at
        FROM outbox
        WHERE outbox.bucket = owned.bucket AND aggregate_id <> ALL (CAST(:without AS uuid[]))
        ORDER BY id LIMIT :limit
    ) AS message
    ORDER BY id
    """
)


async def waiting(
    connection: AsyncConnection, buckets: Iterable[int], *, without: Iterable[UUID], limit: int
) -> list[OutboxMessage]:
    """The next messages in order of id, at most `limit` of each bucket, leaving out the aggregates `without`."""
    parameters = {"buckets": list(buckets), "without": list(without), "limit": limit}
    rows = await connection.execute(_WAITING, parameters)
    return [OutboxMessage(*row) for row in rows]


async def delete(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Delete messages that the broker has acknowledged."""
    await connection.execute(_DELETE, {"ids": list(ids)})


_DELETE = text("DELETE FROM outbox WHERE id = ANY (CAST(:ids AS bigint[]))")


async def backlog(connection: AsyncConnection) -> Backlog:
    """Measure the waiting messages of all buckets."""
    statement = text("SELECT count(*), coalesce(extract(epoch FROM now() - min(occurred_at)), 0) FROM outbox")
    rows, age = (await connection.execute(statement)).one()
    return Backlog(rows, float(age))
