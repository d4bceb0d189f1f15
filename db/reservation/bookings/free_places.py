"""Limits the places of an event that cost one user nothing: no payment limits them, and one account could take all.

Claims and tickets count alike. Places that were given back count no more, because they have no owner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.problems import ProblemType, Refused
from domain.seats import SeatName


def count(sections: Mapping[str, Row[Any]], seats: Sequence[str], quantities: Mapping[str, int]) -> int:
    """How many of these places of an event cost nothing."""
    seated = sum(sections[SeatName.parse(name).section].price == 0 for name in seats)
    return int(seated) + sum(quantity for name, quantity in quantities.items() if sections[name].price == 0)


async def check(connection: AsyncConnection, user_id: UUID, event_id: UUID, more: int, *, most: int) -> None:
    """Check that a user may have some more places of an event that cost nothing, until this transaction ends.

    Args:
        connection: In the transaction that claims them, before it locks any place.
        user_id: Whose they become.
        event_id: Of which event.
        more: How many.
        most: How many the user may have; 0 for any number.

    Raises:
        Refused: They are too many together with those that the user holds or has tickets for.
    """
    if not (more and most):
        return
    ids = {"user_id": user_id, "event_id": event_id}
    await connection.execute(_ONE_CLAIM_AT_A_TIME, {"user_and_event": f"{user_id} {event_id}"})
    has = (await connection.execute(_HAS, ids)).scalar_one()
    if has + more > most:
        detail = (
            f"A user may have {most} places of this event that cost nothing. You have {has}, and ask for {more} more."
        )
        raise Refused(ProblemType.WRONG_STATE, f"{detail} Give some back, or take fewer.")


_ONE_CLAIM_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('free places of ' || :user_and_event, 0))")

# A statement of its own, so that it sees what the transaction before has claimed.
_HAS = text(
    """
    WITH mine AS MATERIALIZED (
        SELECT id FROM bookings
        WHERE user_id = :user_id AND event_id = :event_id AND status NOT IN ('cancelled', 'expired', 'failed')
    ), free AS MATERIALIZED (
        SELECT name FROM sections WHERE event_id = :event_id AND price = 0
    )
    SELECT (SELECT count(*) FROM seats JOIN mine ON mine.id = booking_id JOIN free ON free.name = section)
        + (SELECT coalesce(sum(quantity), 0) FROM general_claims
           JOIN mine ON mine.id = booking_id JOIN free ON free.name = section)
    """
)
