"""Connections to the stack's databases that all tests of a process share: opening one costs more than most queries."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from config.settings import Service, Settings


class Engines:
    """One engine for each service's database, opened when it is first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: dict[Service, AsyncEngine] = {}

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.dispose()

    def of(self, service: Service) -> AsyncEngine:
        """A service's engine; a connection that a killed server has closed is replaced when it is used again."""
        if service not in self._engines:
            self._engines[service] = create_async_engine(self._settings.database_url(service), pool_pre_ping=True)
        return self._engines[service]
