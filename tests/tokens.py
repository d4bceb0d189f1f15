"""Access tokens like those of the identity service, made without calling it."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from sqlalchemy.engine import make_url

from api.auth.key_ring import ring
from api.auth.tokens import AccessTokens
from config.settings import Settings
from db.identity.keys import StoredKey


def access_tokens(settings: Settings, *, id_tokens: bool = False) -> AccessTokens:
    """An issuer with the current keys of the running API; `id_tokens` adds the RSA keys, which are slow to read."""
    url = make_url(settings.database_url("identity")).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(url) as connection, connection.cursor(row_factory=class_row(StoredKey)) as cursor:
        tokens = AccessTokens(settings.api_url)
        rsa_keys = _stored(cursor, "id_token_keys") if id_tokens else []
        tokens.ring = ring(_stored(cursor, "signing_keys"), settings, rsa_keys)
    return tokens


def _stored(cursor: psycopg.Cursor[StoredKey], table: str) -> list[StoredKey]:
    query = "SELECT kid, public, sealed, signs_from <= now() AS signs FROM {} WHERE revoked_at IS NULL"
    return cursor.execute(sql.SQL(query + " ORDER BY signs_from").format(sql.Identifier(table))).fetchall()
