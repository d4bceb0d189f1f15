"""Puts requests in a line: a test locks a person's row, and each request waits there, in the order in which it came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from config.settings import Settings, secret
from tests.waiting import eventually

_BEHIND = """
WITH RECURSIVE line (pid) AS (
    SELECT %s::int UNION SELECT pg_stat_activity.pid FROM pg_stat_activity, line
    WHERE wait_event_type = 'Lock' AND line.pid = ANY (pg_blocking_pids(pg_stat_activity.pid))
) SELECT count(*) - 1 FROM line
"""


class Line:
    """The transactions that wait for a row, directly or behind each other."""

    def __init__(self, holder: psycopg.Connection, superuser: psycopg.Connection) -> None:
        self._holder, self._superuser = holder, superuser

    def length(self) -> int:
        """How many wait."""
        [(waiting,)] = self._superuser.execute(_BEHIND, [self._holder.info.backend_pid]).fetchall()
        return int(waiting)

    async def has(self, length: int) -> None:
        """Wait until so many wait."""
        await eventually(lambda: self.length() == length)

    def move(self) -> None:
        """Let them go on, one after the other."""
        self._holder.rollback()


@contextmanager
def line_at(settings: Settings, superuser: psycopg.Connection, user_id: str) -> Iterator[Line]:
    """A line at the row of a person, which is locked until the line moves."""
    with psycopg.connect(secret(settings.postgres_admin_dsn), dbname="seatwright_identity") as holder:
        holder.execute("SELECT FROM users WHERE id = %s FOR UPDATE", [user_id])
        yield Line(holder, superuser)
        holder.rollback()
