"""How a service opens its database: one pool, and timeouts that end before a caller gives up."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def open_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for one service's database; use `engine.begin()` for a transaction.

    A lost server is noticed within two seconds, so that the API can say 503 in time; a statement that waits for a
    lock for five seconds fails and is tried again from the start by whoever asked. A process that stands still in the
    middle of a transaction is cut off well before all others have run out of tries.
    """
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=2,
        hide_parameters=True,  # a statement's parameters may be personal, and its errors are logged
        connect_args={
            "connect_timeout": 2,
            "options": "-c lock_timeout=5s -c statement_timeout=20s -c idle_in_transaction_session_timeout=15s",
        },
    )
