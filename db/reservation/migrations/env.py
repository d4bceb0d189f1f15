"""Alembic's entry for the reservation service."""

from db.alembic_env import run

run()
