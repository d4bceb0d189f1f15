"""A person's rights over their data, over REST: export everything, erase the account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.guards import Caller
from api.http.preconditions import tag_of
from api.http.problems import documented
from api.http.schemas import Code
from api.identity.context import Identity, require_account
from api.identity.grants import Consent, Grant, OutsideAccount, consent_of
from api.identity.grants import seen_by_owner as grant_of
from api.identity.history import HistoryEntry, cursor_after, entry_of
from api.identity.profile import Me
from api.identity.profile import seen_by_owner as profile_of
from api.identity.proofs import Proof, admit, prove_fully
from api.identity.sessions import SessionSeen
from api.identity.sessions import seen_by_owner as session_of
from api.identity.teams import OwnPart
from api.identity.teams import seen_by_member as part_of
from db.identity import (
    accounts,
    audit_log,
    consents,
    erasure,
    grants,
    outside_accounts,
    second_factors,
    sessions,
    teams,
)
from db.identity.audit_log import PAGE, Seen, of_user
from domain.booking_details import BookingDetails
from domain.problems import ProblemType
from domain.refunds import Refund

router = APIRouter(prefix="/v1/me", tags=["identity"])

_EXPORTED: Final = "account.exported"
_RECORDED_EVERY: Final = timedelta(hours=1)
_PAGES: Final = 5  # of the history


class Farewell(Proof):
    """Proof that the owner asks for the erasure: `code` is needed if the account has a second factor."""

    code: Code | None = None


class Export(BaseModel):
    """All data about a person; of long lists the newest items, and where the older ones are."""

    profile: Me
    sessions: list[SessionSeen]
    grants: list[Grant]
    consents: list[Consent]
    outside_accounts: list[OutsideAccount]
    teams: list[OwnPart]
    history: list[HistoryEntry] = Field(description=f"Newest first, {_PAGES * PAGE:,} at most.")
    history_cursor: str | None = Field(
        description="Send it as `cursor` to `GET /v1/me/history` to read older entries; null if all are here."
    )
    bookings: list[BookingDetails] = Field(description="Newest first, 100 at most.")
    bookings_cursor: UUID | None = Field(
        description="Send it as `cursor` to `GET /v1/me/bookings` to read older ones; null if all are here."
    )
    refunds: list[Refund] = Field(description="Of all these bookings, with their reasons.")


@router.get(
    "/export",
    name="export_my_data",
    summary="Export my data",
    response_model=Export,
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.UNAVAILABLE),
)
async def export(caller: Caller, context: Identity, request: Request) -> Response:
    """Everything that is stored about me, bookings included. The history has one entry an hour for exports.

    Where `history_cursor` or `bookings_cursor` is not null, read the older items by that list's own call.
    """
    authorization = request.headers["authorization"]
    bookings, bookings_cursor = await context.booking_history.newest_of_caller(authorization)
    refunds = await context.booking_history.refunds_of_caller(authorization, bookings)
    async with context.engine.begin() as connection:
        account = require_account(await accounts.find(connection, context.vault, caller.user_id))
        second_factor = await second_factors.is_in_force(connection, account.id)
        live = await sessions.live(connection, account.id)
        granted = await grants.live(connection, account.id)
        allowed = await consents.live(connection, account.id)
        outside = await outside_accounts.of_person(connection, account.id)
        parts = await teams.of_person(connection, account.id)
        entries = await _newest(connection, of_user(account.id))
        if not await audit_log.times(connection, of_user(account.id), _EXPORTED, _RECORDED_EVERY):
            await context.record(connection, caller, _EXPORTED, of_user(account.id))

    def everything() -> tuple[bytes, str]:
        lists: Mapping[str, Iterable[BaseModel]] = {
            "sessions": (session_of(account, session, caller) for session in live),
            "grants": map(grant_of, granted),
            "consents": map(consent_of, allowed),
            "outside_accounts": (OutsideAccount(**each._asdict()) for each in outside),
            "teams": map(part_of, parts),
            "history": (entry_of(account, row) for row in entries),
            "bookings": bookings,
            "refunds": refunds,
        }
        cursors = {"history_cursor": cursor_after(account, entries), "bookings_cursor": bookings_cursor}
        body = _joined(profile_of(account, second_factor), lists, cursors)
        return body, tag_of(body)

    body, tag = await context.openings.result(everything)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store", "ETag": tag})


async def _newest(connection: AsyncConnection, name: str) -> list[Seen]:
    """The newest entries of a history, read page by page: other calls run in between."""
    found = page = await audit_log.about(connection, name)
    while len(page) == PAGE and len(found) < _PAGES * PAGE:
        page = await audit_log.about(connection, name, before=page[-1].number)
        found = found + page
    return found


def _joined(profile: Me, lists: Mapping[str, Iterable[BaseModel]], cursors: Mapping[str, Any]) -> bytes:
    """An `Export` in JSON, each item made by itself: one long call would keep the event loop from running."""
    done = {name: [orjson.Fragment(item.model_dump_json()) for item in items] for name, items in lists.items()}
    return orjson.dumps({"profile": orjson.Fragment(profile.model_dump_json()), **done, **cursors})


@router.delete(
    "",
    name="erase_my_account",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Erase my account",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.WRONG_STATE),
)
async def erase(body: Farewell, caller: Caller, context: Identity) -> None:
    """This cannot be undone. Bookings and payments stay, without a name; bought tickets stay valid.

    A team without another member is deleted with its name. If you are the only owner of a team with other members, the
    answer is 409, and `teams` names it: make another member an owner first.
    """
    proven = await prove_fully(context, caller.user_id, body, body.code)
    async with context.engine.begin() as connection:
        held = await teams.hold_all(connection, caller.user_id)
        account = await admit(connection, context, proven)
        await teams.dissolve_own(connection, account.id, held)
        await erasure.erase(connection, account.id)
        await context.record(connection, caller, "account.erased", of_user(account.id))
