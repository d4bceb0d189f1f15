"""Alembic's entry for the catalogue service."""

from db.alembic_env import run

run()
