"""Grants of people to clients: a code for one use, then a family of refresh tokens, each for one use.

A second use of a code or token may be theft, so it ends the family and its access tokens. The caller has to commit in
that case too. For some seconds a client may repeat a refresh, and gets the same successor.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as add_once
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import consents, rights
from db.identity.clients import digest
from db.identity.tables import AuthorizationCodeRow, ClientRow, FamilyTokenRow, RefreshFamilyRow
from db.identity.vault import Vault
from domain.identity import Scope

MOST_OF_A_CLIENT: Final = 50
"""Grants of one person to one client; a further one ends the one that was used longest ago."""

MOST_LISTED: Final = 500
CODE_LIFETIME = timedelta(seconds=60)
LIFETIME = timedelta(days=30)
REPEATABLE = timedelta(seconds=10)
"""How long a client may repeat a refresh whose answer it has not received."""


@dataclass(frozen=True)
class Code:
    """The grant behind a code."""

    hash: bytes
    client_id: UUID
    user_id: UUID
    redirect_uri: str
    scopes: frozenset[Scope]
    challenge: str
    nonce: str | None
    logged_in_at: datetime


@dataclass(frozen=True)
class Family:
    """A valid grant: its person, its client and its scopes."""

    id: UUID
    client_id: UUID
    user_id: UUID
    scopes: frozenset[Scope]


def add_code(
    connection: Connection,
    code: str,
    *,
    client_id: UUID,
    user_id: UUID,
    redirect_uri: str,
    scopes: Collection[Scope],
    challenge: str,
    nonce: str | None,
    logged_in_at: datetime | None = None,
) -> None:
    """Store a code, and delete codes that are too old to detect a second use.

    Args:
        connection: Within a transaction.
        code: The code; its hash is stored.
        client_id: The client that may exchange it.
        user_id: The person who allows it.
        redirect_uri: The address that the exchange has to name.
        scopes: What the person allows.
        challenge: Of PKCE, with S256.
        nonce: The client's, for the id token.
        logged_in_at: When the person has logged in; None for now.
    """
    connection.execute(text("DELETE FROM authorization_codes WHERE expires_at < now() - interval '1 day'"))
    connection.execute(
        insert(AuthorizationCodeRow).values(
            hash=digest(code),
            client_id=client_id,
            user_id=user_id,
            redirect_uri=redirect_uri,
            scopes=sorted(scopes),
            challenge=challenge,
            nonce=nonce,
            expires_at=func.now() + CODE_LIFETIME,
            logged_in_at=logged_in_at or func.now(),
        )
    )


def find_code(connection: Connection, code: str, client_id: UUID) -> Code | None:
    """The client's code, locked for the rest of the transaction; None if it is unknown, expired or used."""
    table = AuthorizationCodeRow
    owner = connection.scalar(select(table.user_id).where(table.hash == digest(code), table.client_id == client_id))
    if owner is None:
        return None
    rights.hold(connection, owner)  # a new family makes room among the others
    row = connection.execute(
        select(
            table.hash,
            table.user_id,
            table.redirect_uri,
            table.scopes,
            table.challenge,
            table.nonce,
            table.logged_in_at,
            table.family,
            (table.expires_at > func.now()).label("fresh"),
        )
        .where(table.hash == digest(code), table.client_id == client_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return None
    if row.family is not None:
        end(connection, row.family)
        return None
    if not row.fresh:
        return None
    scopes = frozenset(map(Scope, row.scopes))
    return Code(row.hash, client_id, row.user_id, row.redirect_uri, scopes, row.challenge, row.nonce, row.logged_in_at)


def begin(connection: Connection, code: Code) -> Family:
    """Use up a code, which `find_code` has locked with its person, for a new family."""
    _make_room(connection, code)
    made = connection.execute(
        insert(RefreshFamilyRow)
        .values(client_id=code.client_id, user_id=code.user_id, scopes=sorted(code.scopes))
        .returning(RefreshFamilyRow.id)
    )
    family = Family(made.scalar_one(), code.client_id, code.user_id, code.scopes)
    connection.execute(
        update(AuthorizationCodeRow).where(AuthorizationCodeRow.hash == code.hash).values(family=family.id)
    )
    return family


def _make_room(connection: Connection, code: Code) -> None:
    """End the families that were used longest ago, so that one more is not too many."""
    family = RefreshFamilyRow
    goes_on = and_(family.user_id == code.user_id, family.client_id == code.client_id, family.ended_at.is_(None))
    newest_first = select(family.id).where(goes_on).order_by(family.last_used_at.desc(), family.id.desc())
    surplus = family.id.in_(newest_first.offset(MOST_OF_A_CLIENT - 1))
    connection.execute(update(family).where(goes_on, surplus).values(ended_at=func.now()))


def hold(connection: Connection, refresh_token: str, client_id: UUID) -> Family | None:
    """The family of the client's token, locked for the rest of the transaction, if the token is valid.

    Without the lock a rotation could continue a family that another transaction ends.
    """
    family = _family_of(connection, refresh_token, client_id)
    if family is None:
        return None
    token = FamilyTokenRow
    shown = connection.execute(
        select(
            token.used_at,
            (token.used_at > func.now() - REPEATABLE).label("repeatable"),
            (token.expires_at > func.now()).label("fresh"),
        ).where(token.hash == digest(refresh_token))
    ).one()
    if shown.used_at is not None and not shown.repeatable:
        end(connection, family.id)
        return None
    return family if shown.fresh else None


def use_up(connection: Connection, refresh_token: str) -> None:
    """Use up a token of a locked family; a repetition changes nothing."""
    token = FamilyTokenRow
    unused = update(token).where(token.hash == digest(refresh_token), token.used_at.is_(None))
    connection.execute(unused.values(used_at=func.now()))


def look(connection: Connection, refresh_token: str) -> tuple[Family, datetime] | None:
    """The family and the expiry of a valid refresh token; nothing is used up."""
    token, family = FamilyTokenRow, RefreshFamilyRow
    row = connection.execute(
        select(family.id, family.client_id, family.user_id, family.scopes, token.expires_at)
        .join(family, family.id == token.family)
        .where(
            token.hash == digest(refresh_token),
            token.used_at.is_(None),
            token.expires_at > func.now(),
            family.ended_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    return Family(row.id, row.client_id, row.user_id, frozenset(map(Scope, row.scopes))), row.expires_at


def _family_of(connection: Connection, refresh_token: str, client_id: UUID) -> Family | None:
    family = RefreshFamilyRow
    row = connection.execute(
        select(family.id, family.user_id, family.scopes)
        .join(FamilyTokenRow, FamilyTokenRow.family == family.id)
        .where(FamilyTokenRow.hash == digest(refresh_token), family.client_id == client_id)
    ).one_or_none()
    if row is None:
        return None
    rights.hold(connection, row.user_id)
    goes_on = select(family.id).where(family.id == row.id, family.ended_at.is_(None)).with_for_update()
    if connection.scalar(goes_on) is None:
        return None
    return Family(row.id, client_id, row.user_id, frozenset(map(Scope, row.scopes)))


def first_token(connection: Connection, family: UUID) -> str:
    """The first refresh token of a family."""
    token = secrets.token_urlsafe(32)
    _add(connection, family, token)
    return token


def next_token(connection: Connection, vault: Vault, family: UUID, refresh_token: str) -> str:
    """The refresh token after this one; the same again where the refresh is repeated."""
    token = vault.refresh_token_after(refresh_token)
    _add(connection, family, token)
    return token


def _add(connection: Connection, family: UUID, token: str) -> None:
    new = add_once(FamilyTokenRow).values(hash=digest(token), family=family, expires_at=func.now() + LIFETIME)
    connection.execute(new.on_conflict_do_nothing())


def end(connection: Connection, family: UUID) -> None:
    """End all tokens of a grant."""
    connection.execute(
        update(RefreshFamilyRow)
        .where(RefreshFamilyRow.id == family, RefreshFamilyRow.ended_at.is_(None))
        .values(ended_at=func.now())
    )


def end_all(connection: Connection, user_id: UUID) -> None:
    """End all grants of a person, unused codes included, and forget what was allowed.

    The caller has locked the person's row.
    """
    consents.forget_all(connection, user_id)
    _end_where(connection, AuthorizationCodeRow.user_id == user_id, RefreshFamilyRow.user_id == user_id)


def withdraw(connection: Connection, user_id: UUID, client_id: UUID) -> bool:
    """Forget what a person has allowed a client, and end all that came of it; False if there was nothing of either.

    The caller has locked the person's row.
    """
    code, family = AuthorizationCodeRow, RefreshFamilyRow
    has_ended = _end_where(
        connection,
        and_(code.user_id == user_id, code.client_id == client_id),
        and_(family.user_id == user_id, family.client_id == client_id),
    )
    return consents.forget(connection, user_id, client_id) or has_ended


def _end_where(connection: Connection, codes: ColumnElement[bool], families: ColumnElement[bool]) -> bool:
    unused = connection.execute(delete(AuthorizationCodeRow).where(codes, AuthorizationCodeRow.family.is_(None)))
    ended = connection.execute(
        update(RefreshFamilyRow).where(families, RefreshFamilyRow.ended_at.is_(None)).values(ended_at=func.now())
    )
    return unused.rowcount + ended.rowcount > 0


class Granted(NamedTuple):
    """A valid grant as its person sees it."""

    id: UUID
    client_id: UUID
    client: str
    scopes: frozenset[Scope]
    granted_at: datetime


async def live(connection: AsyncConnection, user_id: UUID) -> list[Granted]:
    """A person's valid grants, newest first; at most `MOST_LISTED`."""
    family, token = RefreshFamilyRow, FamilyTokenRow
    # A client without refresh tokens has at most an access token, which expires earlier.
    goes_on = or_(
        family.created_at > func.now() - timedelta(hours=1),
        exists().where(token.family == family.id, token.used_at.is_(None), token.expires_at > func.now()),
    )
    rows = await connection.execute(
        select(family.id, family.client_id, ClientRow.name, family.scopes, family.created_at)
        .join(ClientRow, ClientRow.id == family.client_id)
        .where(family.user_id == user_id, family.ended_at.is_(None), ClientRow.ended_at.is_(None), goes_on)
        .order_by(family.created_at.desc(), family.id)
        .limit(MOST_LISTED)
    )
    return [Granted(id, client, name, frozenset(map(Scope, scopes)), at) for id, client, name, scopes, at in rows]


async def end_own(connection: AsyncConnection, user_id: UUID, family_id: UUID) -> bool:
    """End one grant of a person whose row the caller has locked; False if there is no such valid grant.

    The client has to ask again: what the person has allowed it is forgotten, and codes that it has not used yet end.
    """
    family, code = RefreshFamilyRow, AuthorizationCodeRow
    ended = await connection.execute(
        update(family)
        .where(family.id == family_id, family.user_id == user_id, family.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(family.client_id)
    )
    client_id = ended.scalar_one_or_none()
    if client_id is None:
        return False
    unused = and_(code.user_id == user_id, code.client_id == client_id, code.family.is_(None))
    await connection.execute(delete(code).where(unused))
    await connection.run_sync(consents.forget, user_id, client_id)
    return True


def revoke(connection: Connection, token_id: UUID) -> None:
    """End a single access token."""
    connection.execute(text("SELECT revoke(:id)"), {"id": token_id})
