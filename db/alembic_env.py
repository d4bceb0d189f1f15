"""Runs one service's migrations; Alembic executes it as each service's `env.py`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import NullPool, create_engine

LONGEST_WAIT = 3
"""Seconds for which a migration waits for a lock. Statements of callers queue behind it for so long, and have five."""


def run() -> None:
    """Migrate the database whose URL the caller put into Alembic's configuration."""
    engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=context.config.attributes["metadata"])
        with context.begin_transaction():
            # Two processes that start at once must not migrate at once: the second one waits until the first has ended.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('seatwright-migrate'))")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LONGEST_WAIT}s'")
            context.run_migrations()
