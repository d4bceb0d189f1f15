"""Providers' messages: each is kept once, and what is to be done about it follows from where its attempt stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.payment import late_payments, refunds
from db.payment.attempts import CLOSED, Attempt, AttemptState
from db.payment.tables import WebhookRow
from domain.payments import NewsKind, NewsRefused, ProviderNews

TOLERANCE = timedelta(seconds=300)
"""How far the time of a signature may be from the database's, into the past and into the future."""

MONEY = (NewsKind.RESERVED, NewsKind.TAKEN)


class Course(StrEnum):
    """What a message calls for."""

    IGNORED = "ignored"  # about nothing of ours, or nobody waits for it
    SAGA = "saga"  # the booking's saga waits for its buyer
    LATE = "late"  # money, and the attempt is closed
    REFUND = "refund"  # a refund waits for the provider's decision


class Reception(NamedTuple):
    """What a message calls for.

    Attributes:
        attempt: The one that it is about; None where it names none of ours.
        refunds: Those that wait for news.
    """

    course: Course
    attempt: Attempt | None
    refunds: Sequence[UUID] = ()


async def receive(connection: AsyncConnection, news: ProviderNews) -> Reception:
    """Keep a message, unless it is known, and find out what it calls for now.

    Raises:
        NewsRefused: It was signed too long ago, or in the future, by the database's clock.
    """
    if news.signed_at and abs((await _now(connection)) - news.signed_at) > TOLERANCE:
        raise NewsRefused("the signature is too old or from the future")
    reception = await _judge(connection, news)
    kept = insert(WebhookRow).values(
        provider=news.provider,
        event_id=news.event_id,
        type=news.type,
        intent_id=news.intent_id,
        booking_id=reception.attempt.booking_id if reception.attempt else news.booking_id,
        course=reception.course,
    )
    await connection.execute(kept.on_conflict_do_nothing())
    return reception


async def _now(connection: AsyncConnection) -> datetime:
    return (await connection.execute(select(func.now()))).scalar_one()


async def _judge(connection: AsyncConnection, news: ProviderNews) -> Reception:
    found = await late_payments.find(connection, news.provider, news.intent_id) if news.intent_id else None
    attempt, is_watched = found or (None, False)
    if attempt and attempt.state in CLOSED and (news.kind in MONEY or is_watched):
        await late_payments.watch(connection, attempt)
        return Reception(Course.LATE, attempt)
    booking_id = attempt.booking_id if attempt else news.booking_id
    if news.kind is NewsKind.REFUND and booking_id:
        waiting = await refunds.pending(connection, news.provider, booking_id)
        return Reception(Course.REFUND if waiting else Course.IGNORED, attempt, waiting)
    waits = attempt is not None and attempt.state is AttemptState.ACTION_REQUIRED
    return Reception(Course.SAGA if waits else Course.IGNORED, attempt)
