"""Statements and commands of Redis are shown without what persons typed, and a failure as its kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from db.engine import open_engine
from tests.config.test_tracing import PERSON, Recorded


def _kinds(span: ReadableSpan) -> list[dict[str, object]]:
    return [dict(event.attributes or {}) for event in span.events]


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(settings.database_url("reservation"), pool_size=1)
    yield opened
    await opened.dispose()


async def test_a_statement_that_fails_is_shown_without_what_postgres_quotes(engine: AsyncEngine) -> None:
    process = Recorded(share=0)
    process.details.watch_sql(engine.sync_engine)
    with process.steps.start_as_current_span("step"):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT :name"), {"name": PERSON})
            with pytest.raises(DBAPIError, match="Lovelace"):
                await connection.execute(text("UPDATE seats SET version = CAST(:name AS int)"), {"name": PERSON})
    spans = process.spans()
    assert spans.keys() == {"step", "UPDATE"}
    assert _kinds(spans["UPDATE"]) == [{"exception.type": "psycopg.errors.InvalidTextRepresentation"}]
    assert "Lovelace" not in spans["UPDATE"].to_json()
    assert spans["UPDATE"].attributes == {
        "db.system": "postgresql", "db.statement": "UPDATE seats SET version = CAST(%(name)s AS int)",
    }  # fmt: skip


async def test_a_script_that_redis_does_not_know_yet_is_no_failure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Redis, "execute_command", Redis.execute_command)  # so that it is as before after the test
    monkeypatch.setattr(Pipeline, "execute", Pipeline.execute)
    process, key = Recorded(), f"test:{PERSON}"
    process.details.watch_redis()
    async with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        with process.steps.start_as_current_span("step"):
            # New to Redis by the text of its comment: no other test's scripts need to go.
            await redis.register_script(f"-- {id(process)}\nreturn 1")(keys=[key])
            pipeline = redis.pipeline(transaction=False)
            pipeline.set(key, "x", ex=5)
            pipeline.get(key)
            await pipeline.execute()
            with suppress(ResponseError):
                await redis.lpush(key, PERSON)
    spans = process.spans()
    assert spans.keys() == {"step", "SCRIPT LOAD", "EVALSHA", "SET GET", "LPUSH"}
    failed = {name for name, span in spans.items() if span.status.status_code is StatusCode.ERROR}
    assert failed == {"LPUSH"}
    assert "Lovelace" not in "".join(span.to_json() for span in spans.values())
