"""Alembic's entry for the analytics service."""

from db.alembic_env import run

run()
