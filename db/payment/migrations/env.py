"""Alembic's entry for the payment service."""

from db.alembic_env import run

run()
