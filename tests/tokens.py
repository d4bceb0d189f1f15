"""Access tokens like those of the identity service, made without calling it."""

from __future__ import annotations

import atexit
from contextlib import suppress
from functools import cache

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from sqlalchemy.engine import make_url

from api.auth.key_ring import ring
from api.auth.tokens import AccessTokens, KeyRing
from config.settings import Settings
from db.identity.keys import StoredKey

_rings: dict[str, tuple[list[StoredKey], KeyRing]] = {}


def access_tokens(settings: Settings, *, id_tokens: bool = False) -> AccessTokens:
    """An issuer with the current keys of the running API; `id_tokens` adds the RSA keys, which are slow to read."""
    url = make_url(settings.database_url("identity")).set(drivername="postgresql").render_as_string(False)
    keys, tokens = _stored(url, "signing_keys"), AccessTokens(settings.api_url)
    if id_tokens:
        tokens.ring = ring(keys, settings, _stored(url, "id_token_keys"))
    else:
        if url not in _rings or _rings[url][0] != keys:  # to read them takes 20 ms
            _rings[url] = keys, ring(keys, settings, [])
        tokens.ring = _rings[url][1]
    return tokens


def _stored(url: str, table: str) -> list[StoredKey]:
    query = "SELECT kid, public, sealed, signs_from <= now() AS signs FROM {} WHERE revoked_at IS NULL"
    statement = sql.SQL(query + " ORDER BY signs_from").format(sql.Identifier(table))
    with suppress(psycopg.OperationalError):  # a test has killed the server since
        return _read(url, statement)
    _connection.cache_clear()
    return _read(url, statement)


def _read(url: str, statement: sql.Composed) -> list[StoredKey]:
    with _connection(url).cursor(row_factory=class_row(StoredKey)) as cursor:
        return cursor.execute(statement).fetchall()


@cache
def _connection(url: str) -> psycopg.Connection:
    """A connection that stays open: to open one costs more than the query."""
    connection = psycopg.connect(url, autocommit=True)
    atexit.register(connection.close)
    return connection
