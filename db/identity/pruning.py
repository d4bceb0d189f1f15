"""Deletes sessions and grants that ended some time ago, with their refresh tokens; the audit log keeps its entries.

Of those that go on it deletes expired tokens that were used. Until a token expires, a second use of it is a sign of
theft and ends the session or grant; after that it is only refused, as an unknown one is. An expired token that was not
used was the newest one: its session or grant cannot go on, and is ended.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_MOST: Final = 200  # rows of one statement, so that none of them takes long
# An ended family refuses its refresh tokens as unknown ones are refused. Its access tokens have expired by then.
_ENDED: Final = "ended_at < now() - interval '1 hour'"
_TOKENS: Final = """
    DELETE FROM {tokens} WHERE hash IN (
        SELECT hash FROM {tokens} JOIN {families} ON {families}.id = family WHERE {ended} LIMIT {most}
        FOR UPDATE OF {tokens} SKIP LOCKED
    )
"""
_FAMILIES: Final = """
    DELETE FROM {families} WHERE id IN (
        SELECT id FROM {families} WHERE {ended} AND NOT EXISTS (SELECT FROM {tokens} WHERE family = {families}.id)
        LIMIT {most} FOR UPDATE SKIP LOCKED
    )
"""
_ABANDONED: Final = """
    UPDATE {families} SET ended_at = now() WHERE id IN (
        SELECT id FROM {tokens} JOIN {families} ON {families}.id = family
        WHERE expires_at < {expired} AND used_at IS NULL AND ended_at IS NULL LIMIT {most}
        FOR UPDATE OF {families} SKIP LOCKED
    )
"""
_EXPIRED_TOKENS: Final = """
    DELETE FROM {tokens} WHERE hash IN (
        SELECT hash FROM {tokens} WHERE expires_at < {expired} AND used_at IS NOT NULL LIMIT {most}
        FOR UPDATE SKIP LOCKED
    )
"""
# A refresh that began before the end of its token may take some time.
_EXPIRED: Final = "now() - interval '1 hour'"
_STATEMENTS: Final = tuple(
    text(statement.format(families=families, tokens=tokens, ended=_ENDED, expired=_EXPIRED, most=_MOST))
    for families, tokens in (("sessions", "refresh_tokens"), ("refresh_families", "family_tokens"))
    for statement in (_EXPIRED_TOKENS, _TOKENS, _FAMILIES, _ABANDONED)
)


async def prune(connection: AsyncConnection) -> bool:
    """Delete some of what has ended; each statement may be a transaction of its own.

    Returns:
        Whether there may be more.
    """
    deleted = [(await connection.execute(statement)).rowcount for statement in _STATEMENTS]
    return _MOST in deleted
