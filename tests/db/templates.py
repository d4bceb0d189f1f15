"""Migrated databases of the services to be copied: made once for all workers of pytest, since to migrate takes long."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from db.databases import migrate

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "db", ROOT / "domain")  # migrations use both


def template(admin_dsn: str, service: str) -> str:
    """The name of the service's template, which is made if these sources have none; it stays with the stack."""
    name = f"template_{service}_{_version()}"
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])  # held until this connection ends
        if not admin.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            _make(admin, admin_dsn, service, name)
    return name


def _make(admin: psycopg.Connection, admin_dsn: str, service: str, name: str) -> None:
    """Under its name only when it is complete: a test run may be stopped at any time."""
    unfinished = f"unfinished_{uuid4().hex}"
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unfinished)))
    url = make_url(admin_dsn).set(drivername="postgresql+psycopg", database=unfinished)
    migrate(service, url.render_as_string(hide_password=False))
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    admin.execute(rename.format(sql.Identifier(unfinished), sql.Identifier(name)))


def _version() -> str:
    """Of what makes the tables."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in SOURCES for path in folder.rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
