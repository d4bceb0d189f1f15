"""Wraps the ports of a process for fault injection; the code between them is the real one.

What a wrapped port raises is what it promises to raise in that case.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from typing import Any

import psycopg
import redis.exceptions
from confluent_kafka import KafkaError
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.engine.default import DefaultDialect
from temporalio import activity
from temporalio.client import Client
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput
from temporalio.worker import Interceptor as WorkerInterceptor

from adapters.elasticsearch import EventSearch
from adapters.kafka.client import NotDelivered, OutgoingMessage, Publisher
from adapters.kafka.cloud_events import CloudEvent
from adapters.mail import MailServer
from adapters.payment.stripe.gateway import StripeGateway
from adapters.redis.seat_locks import SeatLocks
from config.settings import Settings
from db import outbox
from db.outbox import OutboxMessage
from domain.payments import PaymentDeclined, PaymentRejected, PaymentUnknown
from domain.problems import ProblemType, Refused
from temporal.connection import connect_worker
from tests.faults.striker import Step, Striker, doing
from workers.consumers.runner import Runner, _Lane
from workers.relay import Relay
from workers.temporal import worker


def hand_to(striker: Striker) -> None:
    """Wrap all ports of this process."""
    _redis(striker)
    _provider(striker)
    _postgres(striker)
    _temporal(striker)
    _kafka(striker)
    _consumers(striker)


def _redis(striker: Striker) -> None:
    for name in ("hold", "extend", "show", "release", "load"):
        striker.wrap(
            SeatLocks,
            name,
            f"redis {name}",
            refuses=lambda: redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'"),
            loses=lambda: redis.exceptions.TimeoutError("Timeout reading from redis"),
        )


def _provider(striker: Striker) -> None:
    for name in ("create", "confirm", "capture", "void", "refund"):
        refusal = PaymentDeclined if name == "confirm" else PaymentRejected
        striker.wrap(
            StripeGateway,
            name,
            f"provider {name}",
            refuses=partial(refusal, "generic_decline", "no"),
            loses=lambda: PaymentUnknown("no answer in time"),
        )


def _not_serializable() -> Exception:
    return psycopg.errors.SerializationFailure("could not serialize access")


def _connection_lost() -> Exception:
    return psycopg.OperationalError("server closed the connection unexpectedly")


def _postgres(striker: Striker) -> None:
    """A transaction takes effect at COMMIT and is identified by its statements; under autocommit each is one."""
    committing = ""

    @event.listens_for(Engine, "begin")
    def begin(connection: Connection) -> None:
        connection.info["statements"] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        connection.info.setdefault("statements", []).append(_in_one_line(statement))

    @event.listens_for(Engine, "commit")
    def commit(connection: Connection) -> None:
        nonlocal committing  # read at once: nothing else runs between this and the dialect's call
        committing = "; ".join(connection.info.pop("statements", []))

    do_commit: Callable[..., None] = PGDialectAsync_psycopg.do_commit
    do_execute: Callable[..., None] = PGDialectAsync_psycopg.do_execute

    def struck(operation: str, connection: Any, make: Callable[[], None]) -> None:
        step = doing.get(Step(""))
        if striker.before(operation, step):
            raise _not_serializable()
        make()
        if striker.after(operation, step):
            connection.close()
            raise _connection_lost()

    @wraps(do_commit)
    def commit_struck(dialect: DefaultDialect, connection: Any) -> None:
        struck(f"commit {committing}", connection, lambda: do_commit(dialect, connection))

    @wraps(do_execute)
    def execute_struck(
        dialect: DefaultDialect, cursor: Any, statement: str, parameters: Any, context: Any = None
    ) -> None:
        def execute() -> None:
            do_execute(dialect, cursor, statement, parameters, context)

        if context is None or not _is_by_itself(context.root_connection) or not _WRITES.match(statement):
            return execute()
        connection = context.root_connection.connection.dbapi_connection
        return struck(f"commit {_in_one_line(statement)}", connection, execute)

    PGDialectAsync_psycopg.do_commit = commit_struck  # type: ignore[method-assign]
    PGDialectAsync_psycopg.do_execute = execute_struck  # type: ignore[method-assign]


_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|WITH)\b")


def _in_one_line(statement: str) -> str:
    return " ".join(statement.split())


def _is_by_itself(connection: Connection) -> bool:
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


class _Activities(ClientInterceptor, WorkerInterceptor):
    def __init__(self, striker: Striker) -> None:
        self._striker = striker

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activity(next, self._striker)


class _Activity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, striker: Striker) -> None:
        super().__init__(next)
        self._striker = striker

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        step = Step(info.activity_type, info.workflow_id or "")
        doing.set(step)
        self._striker.begun(step)
        try:
            result = await super().execute_activity(input)
            self._striker.ended(step)
            return result
        finally:
            self._striker.left(step)


def _temporal(striker: Striker) -> None:
    name = connect_worker.__name__  # what has to be replaced is what the workers' module has imported
    connect: Callable[[Settings], Awaitable[Client]] = getattr(worker, name)

    async def connect_struck(settings: Settings) -> Client:
        config = (await connect(settings)).config()
        config["interceptors"] = [*config["interceptors"], _Activities(striker)]
        return Client(**config)

    setattr(worker, name, connect_struck)


def _kafka(striker: Striker) -> None:
    """Outbox rows are deleted in batches; the fault occurs in the batch with the planned row."""
    subjects: dict[int, str] = {}
    to_kafka = Relay._to_kafka

    def remember(self: Relay, message: OutboxMessage, traceparent: str | None) -> OutgoingMessage:
        subjects[message.id] = f"{message.aggregate_id} {message.type}"
        return to_kafka(self, message, traceparent)

    Relay._to_kafka = remember  # type: ignore[method-assign]

    def publishing(_publisher: Publisher, message: OutgoingMessage) -> Step:
        return Step("relay", f"{(message.key or b'').decode()} {dict(message.headers)['ce_type'].decode()}")

    def deleting(_connection: object, ids: Sequence[int]) -> Step:
        point = striker.plan.read()
        is_among = point is not None and point.subject in {subjects.get(each) for each in ids}
        return Step("relay", point.subject if point and is_among else "")

    striker.wrap(
        Publisher,
        "publish",
        "kafka publish",
        refuses=lambda: NotDelivered(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)),
        loses=lambda: NotDelivered(KafkaError(KafkaError._MSG_TIMED_OUT)),
        step=publishing,
    )
    striker.wrap(outbox, "delete", "outbox delete", refuses=_not_serializable, loses=_connection_lost, step=deleting)


def _consumers(striker: Striker) -> None:
    handle = Runner._handle

    async def handle_as_step(self: Runner, event: CloudEvent, lane: _Lane, *, is_retry: bool) -> None:
        doing.set(Step(self._subscription.group, f"{event.subject} {event.data.type}"))
        await handle(self, event, lane, is_retry=is_retry)

    Runner._handle = handle_as_step  # type: ignore[method-assign]

    def unavailable() -> Exception:
        return Refused(ProblemType.UNAVAILABLE, "not now")

    striker.wrap(EventSearch, "put", "search put", refuses=unavailable, loses=unavailable)
    striker.wrap(MailServer, "send", "mail send", refuses=unavailable, loses=unavailable)
