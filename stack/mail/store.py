"""Keeps mails in SQLite, so that they survive a restart of the catcher; newest first."""

import json
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from stack.mail import message
from stack.mail.message import Json, Mail

# Summary and text are computed once, at the first read: tests search often, parsing thousands of
# mails is slow, and a benchmark never reads them.
SCHEMA = """
CREATE TABLE IF NOT EXISTS mails (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    received TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    raw BLOB NOT NULL,
    summary TEXT,
    text TEXT,
    read INTEGER NOT NULL DEFAULT 0
)
"""


class Store:
    """Used by one thread: SMTP and web share an event loop."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(SCHEMA)

    def add(self, sender: str, recipients: Sequence[str], raw: bytes) -> str:
        """Keep a mail; once this has returned, it outlives the process."""
        mail = Mail(uuid.uuid4().hex[:22], datetime.now(UTC), sender, tuple(recipients), raw)
        self._db.execute(
            "INSERT INTO mails (id, received, sender, recipients, raw) VALUES (?, ?, ?, ?, ?)",
            (mail.id, mail.received.isoformat(), sender, json.dumps(mail.recipients), raw),
        )
        return mail.id

    def page(self, start: int, limit: int) -> list[Json]:
        """So many summaries from there on, newest first."""
        self._work_out()
        query = "SELECT summary, read FROM mails ORDER BY number DESC LIMIT ? OFFSET ?"
        return [_summary(*row) for row in self._db.execute(query, (limit, start))]

    def search(self, matches: Callable[[Json, str], bool]) -> list[Json]:
        """The summaries of all that match, newest first."""
        self._work_out()
        rows = self._db.execute("SELECT summary, read, text FROM mails ORDER BY number DESC")
        pairs = ((_summary(summary, read), text) for summary, read, text in rows)
        return [summary for summary, text in pairs if matches(summary, text)]

    def get(self, identifier: str) -> Mail | None:
        """One mail; 'latest' is the newest."""
        which = "ORDER BY number DESC LIMIT 1" if identifier == "latest" else "WHERE id = ?"
        known = () if identifier == "latest" else (identifier,)
        query = f"SELECT id, received, sender, recipients, raw FROM mails {which}"
        row = self._db.execute(query, known).fetchone()
        return _mail(*row) if row else None

    def _work_out(self) -> None:
        new = "SELECT id, received, sender, recipients, raw FROM mails WHERE summary IS NULL"
        for mail in [_mail(*row) for row in self._db.execute(new)]:
            self._db.execute(
                "UPDATE mails SET summary = ?, text = ? WHERE id = ?",
                (json.dumps(message.summary(mail)), message.text(mail.parsed), mail.id),
            )

    def counts(self) -> tuple[int, int]:
        """How many there are, and how many of them are unread."""
        total, unread = self._db.execute("SELECT count(*), coalesce(sum(NOT read), 0) FROM mails").fetchone()
        return total, unread

    def mark_read(self, identifier: str) -> None:
        """Mark it as read."""
        self._db.execute("UPDATE mails SET read = 1 WHERE id = ? AND NOT read", (identifier,))

    def delete(self, identifiers: Sequence[str]) -> None:
        """Forget these."""
        self._db.executemany("DELETE FROM mails WHERE id = ?", [(identifier,) for identifier in identifiers])

    def delete_all(self) -> None:
        """Forget every mail."""
        self._db.execute("DELETE FROM mails")


def _summary(summary: str, read: int) -> Json:
    return {**json.loads(summary), "Read": bool(read)}


def _mail(identifier: str, received: str, sender: str, recipients: str, raw: bytes) -> Mail:
    return Mail(identifier, datetime.fromisoformat(received), sender, tuple(json.loads(recipients)), raw)
