"""Keeps mails in SQLite, so that they survive a restart of the catcher; newest first."""

import json
import sqlite3
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from stack.mail.message import Mail

SCHEMA = """
CREATE TABLE IF NOT EXISTS mails (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    received TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    raw BLOB NOT NULL,
    read INTEGER NOT NULL DEFAULT 0
)
"""
COLUMNS = "id, received, sender, recipients, raw, read"


class Store:
    """Used by one thread: SMTP and web share an event loop."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(SCHEMA)

    def add(self, sender: str, recipients: Sequence[str], raw: bytes) -> str:
        """Keep a mail; once this has returned, it is on disk."""
        identifier = uuid.uuid4().hex[:22]
        self._db.execute(
            "INSERT INTO mails (id, received, sender, recipients, raw) VALUES (?, ?, ?, ?, ?)",
            (identifier, datetime.now(UTC).isoformat(), sender, json.dumps(list(recipients)), raw),
        )
        return identifier

    def all(self) -> list[Mail]:
        """Every mail, newest first."""
        return [_mail(row) for row in self._db.execute(f"SELECT {COLUMNS} FROM mails ORDER BY number DESC")]

    def slice(self, start: int, limit: int) -> list[Mail]:
        """So many mails from there on, newest first."""
        query = f"SELECT {COLUMNS} FROM mails ORDER BY number DESC LIMIT ? OFFSET ?"
        return [_mail(row) for row in self._db.execute(query, (limit, start))]

    def get(self, identifier: str) -> Mail | None:
        """One mail; 'latest' is the newest."""
        if identifier == "latest":
            return next(iter(self.slice(0, 1)), None)
        row = self._db.execute(f"SELECT {COLUMNS} FROM mails WHERE id = ?", (identifier,)).fetchone()
        return _mail(row) if row else None

    def counts(self) -> tuple[int, int]:
        """How many there are, and how many of them nobody has read."""
        total, unread = self._db.execute("SELECT count(*), coalesce(sum(NOT read), 0) FROM mails").fetchone()
        return total, unread

    def mark_read(self, identifier: str) -> None:
        """Somebody has looked at it."""
        self._db.execute("UPDATE mails SET read = 1 WHERE id = ?", (identifier,))

    def delete(self, identifiers: Sequence[str]) -> None:
        """Forget these."""
        self._db.executemany("DELETE FROM mails WHERE id = ?", [(identifier,) for identifier in identifiers])

    def delete_all(self) -> None:
        """Forget every mail."""
        self._db.execute("DELETE FROM mails")


def _mail(row: tuple[str, str, str, str, bytes, int]) -> Mail:
    identifier, received, sender, recipients, raw, read = row
    return Mail(identifier, datetime.fromisoformat(received), sender, tuple(json.loads(recipients)), raw, bool(read))
