"""Signing keys: rotated without losing a token, ended when one has leaked, and never readable at rest."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from api.app import create_app
from api.auth import key_ring
from api.auth.sealing import seal, unseal
from api.auth.tokens import AccessTokens, Principal
from cli.keys import keys_app
from config.settings import SECRETS, Settings, secret
from db.engine import open_engine
from db.identity import keys
from domain.problems import Refused
from tests.api.conftest import Join
from tests.api.people import log_in
from tests.command_line import seatwright
from tests.waiting import eventually


async def published(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/.well-known/jwks.json")).json()["keys"]
    return found


async def works(client: httpx2.AsyncClient, access_token: str) -> bool:
    answer = await client.get("/v1/me", headers={"Authorization": f"Bearer {access_token}"})
    return answer.status_code == 200


async def test_a_new_key_is_published_first_and_takes_over_without_losing_a_token(
    settings: Settings, stack_env: dict[str, str], client: httpx2.AsyncClient, join: Join
) -> None:
    person, before = await join(), await published(client)
    kid = (await seatwright(keys_app, stack_env, "rotate", "--after", "3")).split()[0]

    async def is_published() -> bool:
        return kid in {key["kid"] for key in await published(client)}

    await eventually(is_published)
    assert {key["kid"] for key in before} < {key["kid"] for key in await published(client)}
    assert all("d" not in key for key in await published(client))

    async def token_of_new_key() -> str | None:
        token = (await log_in(client, person.email, person.password)).access_token
        return token if _kid(token) == kid else None

    new = await eventually(token_of_new_key, every=0.5)
    assert new
    assert await works(client, new)
    assert await works(client, person.access_token), "a token of the old key stays good"
    app = create_app(settings, {"reservation"})  # has no access to identity's database
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://api") as other,
    ):
        for token in (new, person.access_token):
            answer = await other.get("/v1/me/bookings", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200


async def test_a_leaked_key_ends_and_all_its_tokens_with_it(settings: Settings) -> None:
    """Within a transaction that is taken back: the running API signs for other tests with that key."""
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.connect() as connection, connection.begin() as transaction:
        tokens = AccessTokens(settings.api_url)
        tokens.ring = await key_ring.read_ring(connection, settings)
        token, kid = tokens.issue(Principal(uuid4(), frozenset())), str(tokens.ring.signer and tokens.ring.signer.kid)
        assert tokens.read(token)
        assert await keys.revoke(connection, kid)
        heir = await key_ring.add_key(connection, settings, timedelta())
        tokens.ring = await key_ring.read_ring(connection, settings)
        with pytest.raises(Refused):
            tokens.read(token)
        assert _kid(tokens.issue(Principal(uuid4(), frozenset()))) == heir
        assert not await keys.revoke(connection, kid)
        await transaction.rollback()
    await engine.dispose()


async def test_a_key_is_published_until_the_last_token_that_it_signed_has_ended(settings: Settings) -> None:
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.connect() as connection, connection.begin() as transaction:
        await connection.execute(text("DELETE FROM signing_keys"))
        half_a_minute = timedelta(seconds=30)
        old, heir, coming = [
            await key_ring.add_key(connection, settings, signs_after)
            for signs_after in (-2 * key_ring.KEPT, half_a_minute - key_ring.KEPT, half_a_minute)
        ]
        assert await _live(connection) == [old, heir, coming]
        await connection.execute(text("UPDATE signing_keys SET signs_from = signs_from - interval '31 seconds'"))
        assert await _live(connection) == [heir, coming]
        kid = await key_ring.rotate(connection, settings, half_a_minute)
        rows = await connection.execute(text("SELECT kid FROM signing_keys"))
        assert {kid for (kid,) in rows} == {heir, coming, kid}, "what is not needed is not kept"
        await transaction.rollback()
    await engine.dispose()


async def _live(connection: AsyncConnection) -> list[str]:
    return [key.kid for key in await keys.live(connection, kept=key_ring.KEPT)]


def _kid(token: str) -> str:
    head = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def test_the_private_part_is_not_readable_at_rest(settings: Settings) -> None:
    url = make_url(settings.database_url("identity")).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT kid, public, sealed FROM signing_keys").fetchall()
    assert rows
    for kid, public, sealed in rows:
        assert "d" not in public
        assert b'"d"' not in bytes(sealed)
        assert b'"d"' in unseal(secret(settings.token_key_secret), bytes(sealed), kid)
        with pytest.raises(ValueError, match="opens"):
            unseal("another secret", bytes(sealed), kid)
        with pytest.raises(ValueError, match="opens"):
            unseal(secret(settings.token_key_secret), bytes(sealed), "another key")


def test_the_secret_that_seals_them_can_be_replaced() -> None:
    sealed = seal("old", b"key", "kid")
    assert unseal("new,old", sealed, "kid") == b"key"
    assert unseal("new", seal("new,old", b"key", "kid"), "kid") == b"key"


async def test_outside_development_there_is_no_secret_by_default() -> None:
    production = Settings(mode="production", internal_token=SecretStr("x"))
    assert production.token_key_secret is None
    with pytest.raises(ValueError, match="SEATWRIGHT_TOKEN_KEY_SECRET"):
        production.require(SECRETS, ())
