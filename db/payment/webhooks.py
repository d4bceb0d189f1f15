"""Providers' messages: each is kept once, and what is to be done about it follows from where its attempt stands."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.payment.attempts import CLOSED, Attempt, AttemptState, read_attempt
from domain.payments import NewsKind, NewsRefused, ProviderNews

TOLERANCE = timedelta(seconds=300)
"""How far the time of a signature may be from the database's, into the past and into the future."""

_CLOSED = ", ".join(f"'{state}'" for state in sorted(CLOSED))

MONEY = (NewsKind.RESERVED, NewsKind.TAKEN)


class Course(StrEnum):
    """What a message calls for."""

    IGNORED = "ignored"  # about nothing of ours, or nobody waits for it
    SAGA = "saga"  # the booking's saga waits for its buyer
    LATE = "late"  # money, and the attempt is closed


class Reception(NamedTuple):
    """What a message calls for, and the attempt that it is about; None where it is none of ours."""

    course: Course
    attempt: Attempt | None


# One statement, which is its own transaction: most messages are about nothing that anybody waits for.
_RECEIVE = text(
    f"""
    WITH message AS (
        SELECT coalesce(abs(extract(epoch FROM now() - CAST(:signed_at AS timestamptz))) <= :tolerance, true)
                   AS is_in_time
    ), about AS (
        SELECT attempts.*,
               CASE WHEN state IN ({_CLOSED}) AND (:is_money OR watched) THEN '{Course.LATE}'
                    WHEN state = '{AttemptState.ACTION_REQUIRED}' THEN '{Course.SAGA}'
                    ELSE '{Course.IGNORED}' END AS course
        FROM message JOIN attempts ON is_in_time AND provider = :provider AND intent_id = :intent_id
    ), watching AS (
        UPDATE attempts SET watched = true FROM about
        WHERE course = '{Course.LATE}' AND NOT about.watched
          AND (attempts.booking_id, attempts.number) = (about.booking_id, about.number)
    ), kept AS (
        INSERT INTO webhooks (provider, event_id, type, intent_id, booking_id, course)
        SELECT :provider, :event_id, :type, :intent_id, booking_id, coalesce(course, '{Course.IGNORED}')
        FROM message LEFT JOIN about ON true WHERE is_in_time
        ON CONFLICT DO NOTHING
    )
    SELECT is_in_time, about.* FROM message LEFT JOIN about ON true
    """
)


async def receive(connection: AsyncConnection, news: ProviderNews) -> Reception:
    """Keep a message, unless it is known, and find out what it calls for now.

    Raises:
        NewsRefused: It was signed too long ago, or in the future, by the database's clock.
    """
    values = news.model_dump(include={"provider", "event_id", "type", "intent_id", "signed_at"})
    values |= {"tolerance": TOLERANCE.total_seconds(), "is_money": news.kind in MONEY}
    row = (await connection.execute(_RECEIVE, values)).one()
    if not row.is_in_time:
        raise NewsRefused("the signature is too old or from the future")
    return Reception(Course(row.course), read_attempt(row)) if row.course else Reception(Course.IGNORED, None)
