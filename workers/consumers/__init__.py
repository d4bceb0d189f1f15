"""The Kafka consumers. Each is its own group, so that a slow or broken consumer does not delay the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from adapters.kafka.client import Publisher
from config.settings import Settings
from workers.consumers import analytics, notification, search
from workers.consumers.runner import Runner, Subscription

_CONSUMERS: dict[str, Callable[[Settings], AbstractAsyncContextManager[Subscription]]] = {
    "notification": notification.subscription,
    "search": search.subscription,
    "analytics": analytics.subscription,
}
NAMES = tuple(_CONSUMERS)

__all__ = ["NAMES", "run"]


async def run(settings: Settings, names: Sequence[str], ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Run these consumers until `stop`; `ready` is set when each has its partitions.

    Raises:
        ValueError: A name is not in NAMES.
    """
    if unknown := set(names) - set(NAMES):
        raise ValueError(f"no such consumer: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    missing = set(names)

    def assigned(name: str) -> None:
        missing.discard(name)
        if not missing:
            ready.set()

    async with asyncio.TaskGroup() as consumers:
        for name in NAMES:
            if name in names:
                consumers.create_task(_consume(settings, name, assigned, stop))


async def _consume(settings: Settings, name: str, assigned: Callable[[str], None], stop: asyncio.Event) -> None:
    async with (
        _CONSUMERS[name](settings) as subscription,
        Publisher(settings.kafka_bootstrap, f"{name}-dead-letters") as publisher,
    ):
        await Runner(subscription, settings.kafka_bootstrap, publisher).run(lambda: assigned(name), stop)
