"""Reasons of refunds that are in clear, from before they were sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, RefundRow
from domain.refunds import RefundCause


class ReasonInClear(NamedTuple):
    """A person's words, and the buyer whose key seals them."""

    refund_id: UUID
    user_id: UUID
    reason: str


async def in_clear(connection: AsyncConnection, *, limit: int) -> Sequence[ReasonInClear]:
    """Some reasons in clear, locked until the transaction ends."""
    by_person = RefundRow.cause.in_([RefundCause.BUYER, RefundCause.STAFF])
    found = await connection.execute(
        select(RefundRow.id, BookingRow.user_id, RefundRow.reason)
        .join(BookingRow, BookingRow.id == RefundRow.booking_id)
        .where(by_person, RefundRow.reason != "")
        .order_by(RefundRow.id)
        .limit(limit)
        .with_for_update(of=RefundRow)
    )
    return [ReasonInClear(*row) for row in found]


async def replace(connection: AsyncConnection, refund_id: UUID, sealed: str | None) -> None:
    """Keep a reason sealed, or not at all, and no digest of it in clear."""
    kept = {"reason": "", "sealed_reason": sealed, "body_sha256": ""}
    await connection.execute(update(RefundRow).where(RefundRow.id == refund_id).values(kept))
