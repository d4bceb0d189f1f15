"""Alembic's entry for the identity service."""

from db.alembic_env import run

run()
