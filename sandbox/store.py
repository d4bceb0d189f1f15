"""The SQLite file with all state of the sandbox, so that kill -9 loses no committed effect."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The CHECKs are a safety net: no bug of a provider API can capture or refund more than there is.
SCHEMA = """
CREATE TABLE IF NOT EXISTS intents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    face TEXT NOT NULL,
    booking_id TEXT,
    created INTEGER NOT NULL,
    state TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    manual_capture INTEGER NOT NULL,
    authorized INTEGER NOT NULL CHECK (authorized IN (0, amount)),
    captured INTEGER NOT NULL CHECK (captured >= 0),
    released INTEGER NOT NULL CHECK (released >= 0 AND captured + released <= authorized),
    refunded INTEGER NOT NULL CHECK (refunded BETWEEN 0 AND captured),
    payment_method TEXT,
    capture_before INTEGER,
    attempt_id TEXT,
    action_token TEXT UNIQUE,
    metadata TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS intents_booking ON intents (booking_id);
CREATE INDEX IF NOT EXISTS intents_created ON intents (face, created, seq);
CREATE INDEX IF NOT EXISTS intents_holds ON intents (capture_before) WHERE capture_before IS NOT NULL;
CREATE TABLE IF NOT EXISTS attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    intent_id TEXT NOT NULL REFERENCES intents (id),
    created INTEGER NOT NULL,
    status TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    failure TEXT
);
CREATE INDEX IF NOT EXISTS attempts_intent ON attempts (intent_id, seq);
CREATE TABLE IF NOT EXISTS refunds (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    intent_id TEXT NOT NULL REFERENCES intents (id),
    attempt_id TEXT NOT NULL REFERENCES attempts (id),
    created INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    reason TEXT,
    metadata TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'succeeded'
);
CREATE INDEX IF NOT EXISTS refunds_intent ON refunds (intent_id, seq);
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    intent_id TEXT NOT NULL REFERENCES intents (id),
    booking_id TEXT,
    kind TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL CHECK (credit <> debit),
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    object_id TEXT
);
CREATE INDEX IF NOT EXISTS entries_at ON entries (at);
CREATE INDEX IF NOT EXISTS entries_booking ON entries (booking_id, seq);
CREATE INDEX IF NOT EXISTS entries_intent ON entries (intent_id, seq);
CREATE TABLE IF NOT EXISTS saved_answers (
    face TEXT NOT NULL,
    key TEXT NOT NULL,
    path TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    request_id TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (face, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    remaining INTEGER NOT NULL,
    rule TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    face TEXT NOT NULL,
    operation TEXT NOT NULL,
    path TEXT NOT NULL,
    intent_id TEXT,
    booking_id TEXT,
    key TEXT,
    status INTEGER,
    replayed INTEGER NOT NULL,
    faults TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_booking ON calls (booking_id, seq);
CREATE INDEX IF NOT EXISTS calls_intent ON calls (intent_id, seq);
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    face TEXT NOT NULL,
    type TEXT NOT NULL,
    intent_id TEXT NOT NULL,
    booking_id TEXT,
    body BLOB NOT NULL,
    url TEXT,
    due REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    status INTEGER
);
CREATE INDEX IF NOT EXISTS messages_due ON messages (due) WHERE due NOT NULL;
CREATE INDEX IF NOT EXISTS messages_booking ON messages (booking_id, seq);
CREATE TABLE IF NOT EXISTS manners (
    booking_id TEXT PRIMARY KEY,
    manner TEXT NOT NULL
) WITHOUT ROWID;
"""

Row = sqlite3.Row


class Store:
    """Statements and transactions on the file; used from one thread, and never across an `await`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(folder / "sandbox.sqlite3", isolation_level=None, cached_statements=256)
        self._connection.row_factory = sqlite3.Row
        # NORMAL in WAL mode writes before it returns, and fsyncs at checkpoints: a killed process loses nothing.
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;")
        self._connection.executescript(SCHEMA)
        self._bring_up_to_date("refunds", "status", "TEXT NOT NULL DEFAULT 'succeeded'")
        self._bring_up_to_date("entries", "object_id", "TEXT")
        self.run(
            "UPDATE entries SET object_id = CASE WHEN kind LIKE 'refund%' THEN"
            " (SELECT id FROM refunds WHERE refunds.intent_id = entries.intent_id ORDER BY seq LIMIT 1) ELSE"
            " (SELECT attempt_id FROM intents WHERE intents.id = entries.intent_id) END WHERE object_id IS NULL"
        )

    def _bring_up_to_date(self, table: str, column: str, kind: str) -> None:
        """Add a column that an older file does not have."""
        if column not in {row["name"] for row in self.all(f"PRAGMA table_info({table})")}:
            self.run(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements of the block, or none if it raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute one statement; inside `transaction` it is committed with the rest."""
        return self._connection.execute(sql, values)

    def insert(self, table: str, **values: Any) -> int:
        """Add a row; returns its row number."""
        return self._add("INSERT", table, values)

    def replace(self, table: str, **values: Any) -> int:
        """Add a row, or replace the one with the same key."""
        return self._add("INSERT OR REPLACE", table, values)

    def one(self, sql: str, *values: Any) -> Row | None:
        """The first row of a query; None if it has none."""
        row: Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def _add(self, verb: str, table: str, values: dict[str, Any]) -> int:
        places = ", ".join("?" * len(values))
        cursor = self.run(f"{verb} INTO {table} ({', '.join(values)}) VALUES ({places})", *values.values())
        return int(cursor.lastrowid or 0)

    def close(self) -> None:
        """Close the file; an open transaction is lost."""
        self._connection.close()
