"""How a service opens its database: one pool, and timeouts that end before a caller gives up."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.statements import measure


def open_engine(url: str, *, pool_size: int = 20, serves_callers: bool = True, pool: str = "main") -> AsyncEngine:
    """An engine for one service's database; use `engine.begin()` for a transaction.

    A lost server is noticed within two seconds, so that the API can say 503 in time. A statement that waits for a lock
    fails after five seconds, and its caller repeats the whole transaction. The server ends the session of a process
    that hangs in the middle of a transaction, long before other processes run out of retries. Without a caller that
    waits (`serves_callers` is false), a server may be slow, and a statement may read whole tables.
    Metrics show the engine as `pool`: name one that is beside the process's main engine of a database.
    """
    connect_timeout, statement_timeout, idle_timeout = (2, "20s", "15s") if serves_callers else (20, "300s", "60s")
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,  # such a connection would be closed after each use, and a new one costs more than a statement
        pool_timeout=2,
        hide_parameters=True,  # a statement's parameters may be personal, and its errors are logged
        connect_args={
            "connect_timeout": connect_timeout,
            "options": f"-c lock_timeout=5s -c statement_timeout={statement_timeout}"
            f" -c idle_in_transaction_session_timeout={idle_timeout}",
        },
    )
    measure(engine, limit=pool_size, pool=pool)
    return engine


def autocommit(engine: AsyncEngine) -> AsyncConnection:
    """A connection, to be entered, on which each statement is a transaction of its own.

    Use it for a single statement: it saves BEGIN and COMMIT, two of three round trips.
    """
    return _autocommitting(engine).connect()


@lru_cache(maxsize=64)  # a new one for each statement would cost half as much as the statement
def _autocommitting(engine: AsyncEngine) -> AsyncEngine:
    copy = engine.execution_options()
    event.listen(copy.sync_engine, "engine_connect", _switch)
    return copy


def _switch(connection: Connection) -> None:
    """Make it an autocommitting connection, or close it.

    In a busy loop psycopg lets other tasks run here, and a caller's deadline may end. SQLAlchemy would then leave the
    connection to the garbage collector; to give it back would be worse, because it may be switched already.
    """
    try:
        connection.execution_options(isolation_level="AUTOCOMMIT")
    except BaseException:
        connection.invalidate()
        raise
