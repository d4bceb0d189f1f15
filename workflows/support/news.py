"""How a short workflow that a provider's notification starts misses none that arrives while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio import workflow

T = TypeVar("T")


class LooksAgain:
    """Base of the workflows that a notification starts with its signal, or asks to check again."""

    def __init__(self) -> None:
        """The notification that starts the workflow is answered by its first look."""
        self._is_told = False

    async def until_no_news(self, look: Callable[[], Awaitable[T]]) -> T:
        """Look, and again if a notification arrives during the look: the answer may be older than that."""
        while True:
            self._is_told = False
            found = await look()
            if not self._is_told:
                return found

    @workflow.signal(name="provider_has_news")
    def provider_notified(self) -> None:
        """The provider says that something changed."""
        self._is_told = True
