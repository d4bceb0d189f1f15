"""One reading of the whole system: the invariants share its results, so that each query runs once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Row

from audit.connections import Connections
from config.settings import Service

T = TypeVar("T")


class Violation(NamedTuple):
    """A place where an invariant does not hold.

    Attributes:
        subject: The booking's id, or the name of another object such as a seat.
        is_early: It may resolve itself: it concerns a change that may still be on its way.
    """

    subject: str
    detail: str
    is_early: bool = False


class Snapshot:
    """What the invariants see of the system."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self._results: dict[Callable[[Connections], Awaitable[Any]], Any] = {}

    async def read(self, query: Callable[[Connections], Awaitable[T]]) -> T:
        """The result of a query, which runs at most once in a snapshot."""
        if query not in self._results:
            self._results[query] = await query(self.connections)
        result: T = self._results[query]
        return result

    async def rows(self, statement: str, service: Service = "reservation", **values: object) -> list[Row[Any]]:
        """As `Connections.rows`."""
        return await self.connections.rows(statement, service, **values)

    def stream(self, statement: str, service: Service = "reservation", **values: object) -> AsyncIterator[Row[Any]]:
        """As `Connections.stream`."""
        return self.connections.stream(statement, service, **values)


Invariant = Callable[[Snapshot], Awaitable[list[Violation]]]
"""An invariant: the function's name is its name, the docstring its promise, the result its violations."""


def name_of(invariant: Invariant) -> str:
    """The invariant's name, as the report and docs/operations.md show it."""
    return str(invariant.__name__).replace("_", " ")
