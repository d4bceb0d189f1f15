"""Databases as earlier migrations left them, and their addresses for psycopg."""

from __future__ import annotations

from importlib import import_module

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url


def plain(url: str) -> str:
    """The address for psycopg of what SQLAlchemy knows by `url`."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def migrate_to(revision: str, service: str, url: str) -> None:
    """Bring an empty database to where a service's migration left it."""
    config = Config()
    config.set_main_option("script_location", f"db/{service}/migrations")
    config.attributes |= {"url": url, "metadata": import_module(f"db.{service}.tables").Base.metadata}
    command.upgrade(config, revision)
