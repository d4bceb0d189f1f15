"""The memory of answers that callers leave unread: the transport keeps them until the last byte is sent."""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

Reader = TypeVar("Reader")


class Unread(Generic[Reader]):
    """The unread answers of one process. Bytes that many readers share count once, since they are in memory once.

    Args:
        most_bytes: How many bytes may be unread.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bodies: dict[Reader, bytes] = {}  # the longest unread comes first
        self._readers: Counter[int] = Counter()
        self._bytes = 0

    def add(self, reader: Reader, body: bytes) -> None:
        """A reader leaves these bytes unread."""
        self.remove(reader)
        self._bodies[reader] = body
        self._readers[id(body)] += 1
        if self._readers[id(body)] == 1:
            self._bytes += len(body)

    def remove(self, reader: Reader) -> None:
        """The reader has read everything, or is gone."""
        body = self._bodies.pop(reader, None)
        if body is None:
            return
        self._readers[id(body)] -= 1
        if not self._readers[id(body)]:
            del self._readers[id(body)]
            self._bytes -= len(body)

    def one_too_many(self) -> Reader | None:
        """The reader to end if too much is unread: the slowest one. The only reader is never too many."""
        return next(iter(self._bodies)) if self._bytes > self._most_bytes and len(self._bodies) > 1 else None
