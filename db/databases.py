"""Creates each service's database with roles that can reach no other, and brings its tables up to date."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypeVar

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

_Service = TypeVar("_Service", bound=str)


class ServiceDatabase(NamedTuple):
    """How a service's database is reached: by its owner, who migrates, and by the application, which may not.

    Attributes:
        owner: SQLAlchemy URL with the owner's role and password.
        application: The same database with the application's role and password.
    """

    owner: str
    application: str


class MigrationBlocked(Exception):
    """Another transaction used a table for too long, or in a deadlock; the service's database is as it was before."""


def prepare(admin_dsn: str, databases: Mapping[_Service, ServiceDatabase]) -> None:
    """Create what is missing of each service's roles and database, then run its migrations; safe to repeat.

    Args:
        admin_dsn: libpq connection string of a superuser.
        databases: By service; `db.<service>` holds its tables and migrations.

    Raises:
        MigrationBlocked: As for `migrate`; the services before this one are up to date.
    """
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        # Roles and databases belong to the whole server: two migrations at once would create them twice.
        admin.execute("SELECT pg_advisory_lock(hashtext('seatwright-prepare'))")
        for urls in databases.values():
            _create(admin, make_url(urls.owner), make_url(urls.application))
    for service, urls in databases.items():
        owner = make_url(urls.owner)
        with psycopg.connect(admin_dsn, dbname=owner.database, autocommit=True) as admin:
            _give_schema(admin, owner)
        migrate(service, urls.owner)


def _create(admin: psycopg.Connection, owner: URL, application: URL) -> None:
    for url in (owner, application):
        _create_role(admin, url)
    database = sql.Identifier(_text(owner.database))
    known = admin.execute("SELECT FROM pg_database WHERE datname = %s", [owner.database]).fetchone()
    if known is None:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, _role(owner)))
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}, {}").format(database, _role(owner), _role(application)))


def _create_role(admin: psycopg.Connection, url: URL) -> None:
    known = admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [url.username]).fetchone()
    verb = sql.SQL("CREATE" if known is None else "ALTER")
    admin.execute(
        sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
            verb, _role(url), sql.Literal(_text(url.password))
        )
    )


def _give_schema(admin: psycopg.Connection, owner: URL) -> None:
    admin.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(_role(owner)))
    admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def migrate(service: str, url: str) -> None:
    """Bring the tables of a service's database up to date, as the role in its SQLAlchemy URL.

    Raises:
        MigrationBlocked: Another transaction keeps a table locked, or waits for the migration's own locks while it has
            what the migration needs; repeat it later.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / service / "migrations"))
    config.attributes["url"] = url
    config.attributes["metadata"] = import_module(f"db.{service}.tables").Base.metadata
    try:
        command.upgrade(config, "head")
    except OperationalError as error:
        if not isinstance(error.orig, (LockNotAvailable, DeadlockDetected)):
            raise
        raise MigrationBlocked(
            f"the tables of {service} are not migrated: another transaction uses one of them. Nothing of {service} has "
            "changed. Repeat `seatwright migrate`; a long read, such as a backup, may have to end first."
        ) from error


def _role(url: URL) -> sql.Identifier:
    return sql.Identifier(_text(url.username))


def _text(value: str | None) -> str:
    if not value:
        raise ValueError("the URL of a service's database needs role, password and database")
    return value
