"""Signing keys: rotated without losing a token, ended when one has leaked, and never readable at rest."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc.jwk import RSAKey
from psycopg import sql
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
from db.identity.keys import StoredKey
from domain.identity import SigningAlgorithm
from domain.problems import Refused
from tests.api.conftest import Join
from tests.api.partners import register
from tests.api.people import log_in
from tests.command_line import seatwright
from tests.http_client import is_ready
from tests.waiting import eventually

RSA = bytes.fromhex("2a864886f70d010101")  # the object identifier of an RSA key, as DER has it


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
    lines = (await seatwright(keys_app, stack_env, "rotate", "--after", "3")).splitlines()
    added = {algorithm: kid for kid, algorithm, *_ in map(str.split, lines)}
    assert added.keys() == set(SigningAlgorithm)
    kid = added["EdDSA"]

    async def is_published() -> bool:
        return {(key["alg"], key["kid"]) for key in await published(client)} >= added.items()

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
        await eventually(partial(is_ready, other))
        for token in (new, person.access_token):
            answer = await other.get("/v1/me/bookings", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200


@pytest.mark.thorough
async def test_a_new_key_for_id_tokens_takes_over_too(
    settings: Settings, stack_env: dict[str, str], client: httpx2.AsyncClient, join: Join
) -> None:
    person, partner = await join(), await register(settings, client)
    lines = (await seatwright(keys_app, stack_env, "rotate", "--after", "3")).splitlines()
    [kid] = [line.split()[0] for line in lines if "RS256" in line]

    async def signs() -> bool:
        return _kid((await partner.tokens_of(person))["id_token"]) == kid

    assert not await signs()
    await eventually(signs, every=0.5)


@pytest.mark.parametrize("algorithm", SigningAlgorithm)
async def test_a_key_that_leaked_is_replaced_by_one_of_its_algorithm(
    settings: Settings, algorithm: SigningAlgorithm
) -> None:
    """Within a transaction that is taken back."""
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.connect() as connection, connection.begin() as transaction:
        before = {each: await _live(connection, each) for each in SigningAlgorithm}
        assert await key_ring.replace(connection, settings, before[algorithm][-1])
        after = {each: await _live(connection, each) for each in SigningAlgorithm}
        [heir] = set(after[algorithm]) - set(before[algorithm])
        assert before[algorithm][-1] not in after[algorithm]
        assert [each for each in SigningAlgorithm if before[each] != after[each]] == [algorithm]
        ring = await key_ring.read_ring(connection, settings)
        assert heir in {signer.kid for signer in (ring.signer, ring.id_tokens.signer) if signer}
        assert not await key_ring.replace(connection, settings, before[algorithm][-1])
        await transaction.rollback()
    await engine.dispose()


async def test_a_leaked_key_ends_and_all_its_tokens_with_it(settings: Settings) -> None:
    """Within a transaction that is taken back: the running API signs for other tests with that key."""
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.connect() as connection, connection.begin() as transaction:
        tokens = AccessTokens(settings.api_url)
        tokens.ring = await key_ring.read_ring(connection, settings)
        token, kid = tokens.issue(Principal(uuid4(), frozenset())), str(tokens.ring.signer and tokens.ring.signer.kid)
        assert tokens.read(token)
        assert await keys.revoke(connection, SigningAlgorithm.ED_DSA, kid)
        heir = await key_ring.add_key(connection, SigningAlgorithm.ED_DSA, settings, timedelta())
        tokens.ring = await key_ring.read_ring(connection, settings)
        with pytest.raises(Refused):
            tokens.read(token)
        assert _kid(tokens.issue(Principal(uuid4(), frozenset()))) == heir
        assert not await keys.revoke(connection, SigningAlgorithm.ED_DSA, kid)
        await transaction.rollback()
    await engine.dispose()


@pytest.mark.parametrize("algorithm", SigningAlgorithm)
async def test_a_key_is_published_until_the_last_token_that_it_signed_has_ended(
    settings: Settings, algorithm: SigningAlgorithm
) -> None:
    table = {SigningAlgorithm.ED_DSA: "signing_keys", SigningAlgorithm.RS256: "id_token_keys"}[algorithm]
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.connect() as connection, connection.begin() as transaction:
        await connection.execute(text(f"DELETE FROM {table}"))
        half_a_minute = timedelta(seconds=30)
        old, heir, coming = [
            await key_ring.add_key(connection, algorithm, settings, signs_after)
            for signs_after in (-2 * key_ring.KEPT, half_a_minute - key_ring.KEPT, half_a_minute)
        ]
        assert await _live(connection, algorithm) == [old, heir, coming]
        await connection.execute(text(f"UPDATE {table} SET signs_from = signs_from - interval '31 seconds'"))
        assert await _live(connection, algorithm) == [heir, coming]
        kid = (await key_ring.rotate(connection, settings, half_a_minute))[algorithm]
        rows = await connection.execute(text(f"SELECT kid FROM {table}"))
        assert {kid for (kid,) in rows} == {heir, coming, kid}, "what is not needed is not kept"
        await transaction.rollback()
    await engine.dispose()


async def _live(connection: AsyncConnection, algorithm: SigningAlgorithm) -> list[str]:
    return [key.kid for key in await keys.live(connection, algorithm, kept=key_ring.KEPT)]


def _kid(token: str) -> str:
    head = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


@pytest.mark.parametrize(("table", "private"), [("signing_keys", b'"d"'), ("id_token_keys", RSA)])
def test_the_private_part_is_not_readable_at_rest(settings: Settings, table: str, private: bytes) -> None:
    url = make_url(settings.database_url("identity")).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(url) as connection:
        query = sql.SQL("SELECT kid, public, sealed FROM {}").format(sql.Identifier(table))
        rows = connection.execute(query).fetchall()
    assert rows
    for kid, public, sealed in rows:
        assert not {"d", "p", "q"} & public.keys()
        assert private not in bytes(sealed)
        assert private in unseal(secret(settings.token_key_secret), bytes(sealed), kid)
        with pytest.raises(ValueError, match="opens"):
            unseal("another secret", bytes(sealed), kid)
        with pytest.raises(ValueError, match="opens"):
            unseal(secret(settings.token_key_secret), bytes(sealed), "another key")


def test_the_version_before_finds_only_keys_that_it_can_read(superuser: psycopg.Connection) -> None:
    rows = superuser.execute("SELECT public -> 'crv', public -> 'x' FROM signing_keys").fetchall()
    assert rows
    assert {curve for curve, _ in rows} == {"Ed25519"}
    assert all(x for _, x in rows)


def test_the_keys_are_read_without_holding_the_event_loop(settings: Settings) -> None:
    key = RSAKey.generate_key(2048, auto_kid=True)
    private = key.as_bytes(encoding="DER", private=True)
    stored = StoredKey(str(key.kid), {}, seal(secret(settings.token_key_secret), private, str(key.kid)), signs=True)

    def seconds(read: Callable[[], object]) -> float:
        begun = time.perf_counter()
        read()
        return time.perf_counter() - begun

    ours = min(seconds(lambda: key_ring.ring((), settings, (stored,))) for _ in range(5))
    checked = min(seconds(lambda: load_der_private_key(private, None)) for _ in range(5))
    assert ours < checked / 4


def test_the_secret_that_seals_them_can_be_replaced() -> None:
    sealed = seal("old", b"key", "kid")
    assert unseal("new,old", sealed, "kid") == b"key"
    assert unseal("new", seal("new,old", b"key", "kid"), "kid") == b"key"


async def test_outside_development_there_is_no_secret_by_default() -> None:
    production = Settings(mode="production", internal_token=SecretStr("x"))
    assert production.token_key_secret is None
    with pytest.raises(ValueError, match="SEATWRIGHT_TOKEN_KEY_SECRET"):
        production.require(SECRETS, ())
