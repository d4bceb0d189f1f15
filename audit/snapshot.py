"""One look at the system: the checks share what has been read, so that each source is read once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Row

from audit.connections import Sources
from config.settings import Service

T = TypeVar("T")


class Broken(NamedTuple):
    """What a check has found.

    Attributes:
        subject: The booking's id, or what else it is about.
        is_early: It may still come right by itself: it is about a domain event that has only just been told.
    """

    subject: str
    detail: str
    is_early: bool = False


class Look:
    """What the checks see of the sources."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._seen: dict[Callable[[Sources], Awaitable[Any]], Any] = {}

    async def once(self, read: Callable[[Sources], Awaitable[T]]) -> T:
        """What `read` answers; it is asked at most once in a look, whichever checks need it."""
        if read not in self._seen:
            self._seen[read] = await read(self.sources)
        seen: T = self._seen[read]
        return seen

    async def rows(self, statement: str, service: Service = "reservation", **values: object) -> list[Row[Any]]:
        """As `Sources.rows`."""
        return await self.sources.rows(statement, service, **values)

    def stream(self, statement: str, service: Service = "reservation", **values: object) -> AsyncIterator[Row[Any]]:
        """As `Sources.stream`."""
        return self.sources.stream(statement, service, **values)


Check = Callable[[Look], Awaitable[list[Broken]]]
"""An invariant: its name is the function's, its promise the docstring, and it answers where the promise is broken."""


def name_of(check: Check) -> str:
    """The invariant's name, as the report and docs/operations.md have it."""
    return str(check.__name__).replace("_", " ")
