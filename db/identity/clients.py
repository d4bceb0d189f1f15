"""Third-party applications. Operators register each with the rights that it needs."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from sqlalchemy import Connection, Uuid, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import gates
from db.identity.tables import ClientRow, ConsentRow
from domain.identity import Role, Scope, SigningAlgorithm


@dataclass(frozen=True)
class Client:
    """A registered client and its rights.

    Attributes:
        secret_hash: None for a public client, which cannot keep a secret: an app on a phone, a page in a browser.
        roles: What it may do on its own behalf (`client_credentials`).
        may_introspect: Whether it may read the contents of any token (RFC 7662).
        id_token_algorithm: How its id tokens are signed (OpenID Connect Registration's `id_token_signed_response_alg`).
    """

    id: UUID
    name: str
    secret_hash: bytes | None
    redirect_uris: Sequence[str]
    grants: frozenset[str]
    scopes: frozenset[Scope]
    roles: frozenset[Role]
    may_introspect: bool
    id_token_algorithm: SigningAlgorithm

    def has_secret(self, secret: str) -> bool:
        """Whether this is the client's secret, compared in constant time; never true for a public client."""
        return self.secret_hash is not None and hmac.compare_digest(self.secret_hash, digest(secret))


async def add(
    connection: AsyncConnection,
    name: str,
    *,
    redirect_uris: Collection[str],
    grants: Collection[str],
    scopes: Collection[Scope],
    roles: Collection[Role],
    is_public: bool,
    may_introspect: bool,
    id_token_algorithm: SigningAlgorithm = SigningAlgorithm.RS256,
) -> tuple[UUID, str | None]:
    """Register a client. Returns its id and its secret, which is shown only now."""
    secret = None if is_public else secrets.token_urlsafe(32)
    made = await connection.execute(
        insert(ClientRow)
        .values(
            name=name,
            secret_hash=digest(secret) if secret else None,
            redirect_uris=list(redirect_uris),
            grants=sorted(grants),
            scopes=sorted(scopes),
            roles=sorted(roles),
            may_introspect=may_introspect,
            id_token_signed_response_alg=id_token_algorithm,
        )
        .returning(ClientRow.id)
    )
    return made.scalar_one(), secret


async def end(connection: AsyncConnection, client_id: UUID) -> bool:
    """End a client with every token that it holds and what people have allowed it; False if it is not live."""
    await gates.close(connection, client_id)
    ended = await connection.execute(
        update(ClientRow)
        .where(ClientRow.id == client_id, ClientRow.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(ClientRow.id)
    )
    if ended.one_or_none() is None:
        return False
    # The client's row is locked first, as where a person allows something: no consent is added beside this.
    await connection.execute(delete(ConsentRow).where(ConsentRow.client_id == client_id))
    return True


async def set_id_token_algorithm(connection: AsyncConnection, client_id: UUID, algorithm: SigningAlgorithm) -> bool:
    """Sign the client's id tokens so from now on; False if there is no such live client."""
    await gates.close(connection, client_id)
    changed = await connection.execute(
        update(ClientRow)
        .where(ClientRow.id == client_id, ClientRow.ended_at.is_(None))
        .values(id_token_signed_response_alg=algorithm)
    )
    return changed.rowcount == 1


def find(connection: Connection, client_id: UUID) -> Client | None:
    """The client, unless it has ended. It is locked until the transaction ends.

    Without the lock a token could be issued after the revocation, and would stay valid. It is kept while a call waits
    for its person, so a client that refreshes without a pause would put off its own end, but for the gate.
    """
    row = connection.execute(
        select(
            ClientRow.id,
            ClientRow.name,
            ClientRow.secret_hash,
            ClientRow.redirect_uris,
            ClientRow.grants,
            ClientRow.scopes,
            ClientRow.roles,
            ClientRow.may_introspect,
            ClientRow.id_token_signed_response_alg,
        )
        .where(ClientRow.id == client_id, ClientRow.ended_at.is_(None), gates.passed(literal(client_id, Uuid)))
        .with_for_update(read=True)
    ).one_or_none()
    if row is None:
        return None
    scopes, roles = frozenset(map(Scope, row.scopes)), frozenset(map(Role, row.roles))
    return Client(
        row.id,
        row.name,
        row.secret_hash,
        row.redirect_uris,
        frozenset(row.grants),
        scopes,
        roles,
        row.may_introspect,
        SigningAlgorithm(row.id_token_signed_response_alg),
    )


def digest(secret: str) -> bytes:
    """The SHA-256 hash that is stored in place of a client secret."""
    # It has 256 random bits, so a fast hash without salt gives nothing away.
    return sha256(secret.encode()).digest()
