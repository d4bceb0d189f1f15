"""Deletes sessions and grants that ended some time ago, with their refresh tokens; the audit log keeps its entries."""

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
_STATEMENTS: Final = tuple(
    text(statement.format(families=families, tokens=tokens, ended=_ENDED, most=_MOST))
    for families, tokens in (("sessions", "refresh_tokens"), ("refresh_families", "family_tokens"))
    for statement in (_TOKENS, _FAMILIES)
)


async def prune(connection: AsyncConnection) -> bool:
    """Delete some of what has ended; each statement may be a transaction of its own.

    Returns:
        Whether there may be more.
    """
    deleted = [(await connection.execute(statement)).rowcount for statement in _STATEMENTS]
    return _MOST in deleted
