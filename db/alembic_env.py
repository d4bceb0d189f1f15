"""Runs one service's migrations; Alembic executes it as each service's `env.py`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine


def run() -> None:
    """Migrate the database whose URL the caller put into Alembic's configuration."""
    engine = create_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=context.config.attributes["metadata"])
        with context.begin_transaction():
            # Two processes that start at once must not migrate at once.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('seatwright-migrate'))")
            context.run_migrations()
    engine.dispose()
