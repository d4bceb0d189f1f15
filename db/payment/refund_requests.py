"""When the provider may be asked for a try's money, and under which key."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.payment.refunds import Try
from db.payment.tables import RefundRow


async def begin_asking(connection: AsyncConnection, given: Try, quiet: timedelta) -> timedelta:
    """Note that the provider is about to be asked, unless an earlier request may still run; the database's clock.

    Args:
        connection: In a transaction of the payment service's database.
        given: Whose money to ask for.
        quiet: How long a request may run.

    Returns:
        Zero if the provider may be asked, else how long to wait.
    """
    same = (RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
    asked = select(RefundRow.asked_at, func.clock_timestamp().label("now")).where(*same).with_for_update()
    row = (await connection.execute(asked)).one()
    # A worker of an earlier version may have asked, which leaves no time: then now counts as that time.
    since: datetime = row.asked_at or row.now
    never = given.is_new and row.asked_at is None
    wait = timedelta() if never else max(since + quiet - row.now, timedelta())
    if row.asked_at is None or not wait:
        await connection.execute(update(RefundRow).where(*same).values(asked_at=func.clock_timestamp()))
    return wait


async def mint_key(connection: AsyncConnection, given: Try) -> None:
    """Let the next call use a new key, because the provider's saved answer to this one is a failure."""
    await connection.execute(
        update(RefundRow)
        .where(RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
        .where(RefundRow.keys_minted == given.keys_minted)
        .values(keys_minted=given.keys_minted + 1)
    )
