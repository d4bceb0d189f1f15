"""Idempotency keys: for 24 hours a key returns the response of its first call."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sandbox.store import Store

KEPT_SECONDS = 24 * 3600
"""Seconds that a response is kept (docs.stripe.com/api/idempotent_requests)."""


@dataclass(frozen=True)
class SavedAnswer:
    """The response of the first call with a key."""

    status: int
    body: bytes
    request_id: str


class KeyInUse(Exception):
    """Another call with the key is still running."""


class KeyMismatch(Exception):
    """The key was first used for another path or with other parameters.

    Attributes:
        path: Where it was first used.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Keys:
    """The keys of one provider API. Keys in flight are in memory: a killed process has no running calls."""

    def __init__(self, store: Store, face: str) -> None:
        self._store = store
        self._face = face
        self._in_flight: set[str] = set()
        store.run("DELETE FROM saved_answers WHERE face = ? AND created < ?", face, time.time() - KEPT_SECONDS)

    def claim(self, key: str, path: str, fingerprint: str) -> SavedAnswer | None:
        """Return the saved response, or None; after None the caller executes and must `release` the key.

        Raises:
            KeyInUse: The first call under the key is still running.
            KeyMismatch: The key belongs to another call.
        """
        if key in self._in_flight:
            raise KeyInUse
        saved = self._saved(key, path, fingerprint)
        if saved is None:
            self._in_flight.add(key)
        return saved

    def save(self, key: str, path: str, fingerprint: str, answer: SavedAnswer) -> None:
        """Save the response; call this inside the transaction of the effect that it reports."""
        known = {"face": self._face, "key": key, "path": path, "fingerprint": fingerprint}
        self._store.replace("saved_answers", created=time.time(), **known, **vars(answer))

    def release(self, key: str) -> None:
        """End the call in flight, so that the key may be used again."""
        self._in_flight.discard(key)

    def _saved(self, key: str, path: str, fingerprint: str) -> SavedAnswer | None:
        sql = "SELECT * FROM saved_answers WHERE face = ? AND key = ? AND created >= ?"
        row = self._store.one(sql, self._face, key, time.time() - KEPT_SECONDS)
        if row is None:
            return None
        if (row["path"], row["fingerprint"]) != (path, fingerprint):
            raise KeyMismatch(row["path"])
        return SavedAnswer(row["status"], row["body"], row["request_id"])
