"""What the audit log has about a person, over REST, for that person alone: in pages, since the log is never emptied."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import orjson
from cryptography.exceptions import InvalidTag
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.auth.guards import Caller
from api.http.problems import documented
from api.identity.context import Identity, require_account
from db.identity import accounts, audit_log
from db.identity.accounts import Account
from db.identity.audit_log import NOBODY, ORIGIN, PAGE, Seen, of_user
from domain.problems import ProblemType, other_list

router = APIRouter(prefix="/v1/me/history", tags=["identity"])

_CURSOR: Final = "history-cursor"
_LONGEST: Final = 100  # characters of a cursor


class HistoryEntry(BaseModel):
    """An action of this person, or on their account."""

    at: datetime
    action: str
    object: str
    user_agent: str | None = Field(default=None, description="Left out where another person did it")
    address: str | None = None


class HistoryPage(BaseModel):
    """A page of my history."""

    history: list[HistoryEntry]
    next_cursor: str | None = Field(description="Send it as `cursor` to read the next page; null on the last one.")


@router.get(
    "",
    name="list_my_history",
    summary="List my history, newest first",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def my_history(
    caller: Caller,
    context: Identity,
    cursor: Annotated[
        str | None, Query(max_length=_LONGEST, description="The `next_cursor` of the previous page.")
    ] = None,
) -> HistoryPage:
    """What I did, and what was done to my account. Pages of 200."""
    async with context.engine.connect() as connection:
        account = require_account(await accounts.find(connection, context.vault, caller.user_id))
        before = {"before": _number(account, cursor)} if cursor is not None else {}
        rows = await audit_log.about(connection, of_user(account.id), **before)
    opened = await context.openings.result(lambda: [entry_of(account, row) for row in rows])
    return HistoryPage(history=opened, next_cursor=cursor_after(account, rows))


def cursor_after(account: Account, rows: Sequence[Seen]) -> str | None:
    """The cursor of the entries that are older than these; None if these do not fill their last page.

    It is sealed: the entry's number would say how much the whole platform does.
    """
    if not rows or len(rows) % PAGE:
        return None
    return urlsafe_b64encode(account.key.seal(_CURSOR, str(rows[-1].number).encode())).decode()


def _number(account: Account, cursor: str) -> int:
    try:
        return int(account.key.open(_CURSOR, urlsafe_b64decode(cursor)))
    except (ValueError, InvalidTag):
        raise other_list() from None


def entry_of(account: Account, row: Seen) -> HistoryEntry:
    """An entry as the person sees it; the origin of another person's action is not shown."""
    is_mine = row.actor in (of_user(account.id), NOBODY)
    origin = orjson.loads(account.key.open(ORIGIN, row.origin)) if row.origin and is_mine else {}
    seen = {name: origin.get(name) for name in ("user_agent", "address")}
    return HistoryEntry(at=row.at, action=row.action, object=row.object, **seen)
