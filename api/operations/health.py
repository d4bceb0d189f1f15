"""Whether this process is alive, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from api.auth.guards import PUBLIC
from api.auth.tokens import AccessTokens
from api.http.deadlines import with_deadline
from api.http.resources import Open, Resources
from api.operations.readiness import Readiness


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = Field(description="Always `alive`.")


class ReadinessBody(BaseModel):
    """Whether the process can do its work, and what it needs for that."""

    status: Literal["ready", "not ready", "draining"] = Field(description="`draining`: it is about to stop.")
    checks: dict[str, str] = Field(description="By the server that was reached: `ok`, or the kind of error.")


router = APIRouter(tags=["health"], dependencies=[PUBLIC])


@router.get("/livez", name="check_liveness", summary="Check that the process is alive")
async def livez() -> Liveness:
    """It reads no other server: restart the process if this does not answer."""
    return Liveness(status="alive")


@router.get(
    "/readyz",
    name="check_readiness",
    summary="Check that the process can work",
    response_model=ReadinessBody,
    responses={503: {"model": ReadinessBody}},
)
async def readyz(opened: Open, request: Request) -> Response:
    """A process that is about to stop is not ready: it still serves, but should get no new requests.

    The checks are made at most once a second, for all callers together.
    """
    if request.app.state.draining:
        return _answer("draining", {})
    readiness: Readiness = request.app.state.readiness

    async def check() -> Mapping[str, str]:
        checks = {**_checks(opened), "keys": _has_keys(request)}
        return dict(zip(checks, await asyncio.gather(*map(_outcome, checks.values())), strict=True))

    results = await readiness.results(check)
    return _answer("ready" if all(result == "ok" for result in results.values()) else "not ready", results)


def _answer(status: str, checks: Mapping[str, str]) -> Response:
    body = orjson.dumps({"status": status, "checks": checks})
    return Response(body, 200 if status == "ready" else 503, media_type="application/json")


def _checks(opened: Resources) -> Mapping[str, Awaitable[Any]]:
    databases = {f"postgres/{service}": _select_one(engine) for service, engine in opened.engines.items()}
    temporal = {"temporal": _serving(opened.part(Client))} if Client in opened.parts else {}
    return {**databases, "redis": opened.redis.ping(), **temporal}


async def _outcome(check: Awaitable[Any]) -> str:
    try:
        await with_deadline(check)
    except Exception as error:
        return type(error).__name__  # the message may name hosts and accounts
    return "ok"


async def _select_one(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _has_keys(request: Request) -> None:
    """Without the keys that check tokens no caller can be identified; once read, they stay."""
    tokens: AccessTokens = request.app.state.tokens
    if not tokens.ring.published:
        await request.app.state.key_sync.learn()
    if not tokens.ring.published:
        raise LookupError


async def _serving(client: Client) -> None:
    if not await client.service_client.check_health():
        raise ConnectionError
