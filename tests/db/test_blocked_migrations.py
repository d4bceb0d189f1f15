"""A migration that cannot get a table gives up soon, changes nothing, says so, and can be repeated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic import command
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

import cli.commands
import cli.migrate
import config.tracing
from db.alembic_env import LONGEST_WAIT
from db.databases import MigrationBlocked, migrate
from tests.db.old_databases import migrate_to, plain
from tests.workers.conftest import _Databases


@pytest.fixture
def old_database(databases: _Databases) -> str:
    """The SQLAlchemy URL of a reservation database of version 0.1.0."""
    url = databases.make()
    migrate_to("0001", "reservation", url)
    return url


@pytest.fixture
def reader(old_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(plain(old_database)) as connection:
        yield connection


def version(url: str) -> str:
    with psycopg.connect(plain(url)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row
    return str(row[0])


def read_as_callers_do(url: str) -> None:
    with psycopg.connect(plain(url), options="-c lock_timeout=5s") as connection:
        connection.execute("SELECT FROM events")


def test_a_migration_behind_a_long_read_gives_up_and_callers_wait_no_longer_than_it(
    old_database: str, reader: psycopg.Connection
) -> None:
    reader.execute("SELECT FROM events")  # its transaction stays open
    with ThreadPoolExecutor() as threads:
        migrating = threads.submit(migrate, "reservation", old_database)
        try:
            while not (_waits(reader) or migrating.done()):
                time.sleep(0.05)
            read_as_callers_do(old_database)
            with pytest.raises(MigrationBlocked, match=r"reservation are not migrated.*Repeat `seatwright migrate`"):
                migrating.result(timeout=3 * LONGEST_WAIT)
        finally:
            reader.rollback()
    assert version(old_database) == "0001"

    migrate("reservation", old_database)
    assert version(old_database) > "0001"


def _waits(reader: psycopg.Connection) -> bool:
    here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    waiting = f"SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND {here}"
    return reader.execute(waiting).fetchone() is not None


@pytest.mark.parametrize(
    ("cause", "expected"),
    [(LockNotAvailable, MigrationBlocked), (DeadlockDetected, MigrationBlocked), (QueryCanceled, OperationalError)],
)
def test_only_what_a_repetition_may_cure_is_a_blocked_migration(
    monkeypatch: pytest.MonkeyPatch, cause: type[psycopg.Error], expected: type[Exception]
) -> None:
    def upgrade(*_: object) -> None:
        raise OperationalError("ALTER TABLE", None, cause())

    monkeypatch.setattr(command, "upgrade", upgrade)
    with pytest.raises(expected):
        migrate("reservation", "postgresql://")


def test_a_blocked_migration_ends_the_command_with_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    async def blocked(*_: object) -> None:
        raise MigrationBlocked("the tables of payment are not migrated")

    monkeypatch.setattr(cli.migrate, "migrate", blocked)
    monkeypatch.setattr(cli.commands, "settings", lambda: None)
    monkeypatch.setattr(cli.commands, "configure_logging", lambda: None)
    monkeypatch.setattr(config.tracing, "configure", lambda: None)
    result = CliRunner().invoke(cli.commands.app, ["migrate"])
    assert (result.exit_code, result.output) == (1, "the tables of payment are not migrated\n")
