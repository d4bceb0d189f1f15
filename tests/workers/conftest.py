"""Throwaway databases, topics and mailboxes on the running stack, so that tests disturb nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from db.engine import open_engine
from db.migration_helpers import OUTBOX_DDL
from workers.relay import Relay


@pytest.fixture(scope="session")
def stack_env() -> dict[str, str]:
    lines = Path(Path("/tmp/stack-ready").read_text().strip()).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("SEATWRIGHT_"))
