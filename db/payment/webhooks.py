"""Providers' messages. Each is stored once, and the state of its attempt decides the action."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.payment.attempts import CLOSED, COLUMNS, Attempt, AttemptState, read_attempt
from db.payment.refunds import BY_HAND, TryState
from domain.payments import NotificationKind, NotificationRefused, ProviderNotification

TOLERANCE = timedelta(seconds=300)
"""How far a signature's time may be before or after the database's."""

_CLOSED = ", ".join(f"'{state}'" for state in sorted(CLOSED))

MONEY = (NotificationKind.RESERVED, NotificationKind.TAKEN)


class WebhookAction(StrEnum):
    """What a message calls for."""

    IGNORED = "ignored"  # unknown, or no workflow waits for it
    SAGA = "saga"  # the booking's saga waits for its buyer
    LATE = "late"  # a payment, and the attempt is closed
    REFUND = "refund"  # a refund waits for the provider's decision


class WebhookDecision(NamedTuple):
    """What a message calls for.

    Attributes:
        attempt: The attempt of the message; None if it names no known one.
        refunds: Refunds that wait for the provider.
        given: Refunds that had succeeded, if the message says that one has failed.
    """

    course: WebhookAction
    attempt: Attempt | None
    refunds: Sequence[UUID] = ()
    given: Sequence[UUID] = ()


# One statement, which is its own transaction: no workflow waits for most messages.
_RECEIVE = text(
    f"""
    WITH message AS (
        SELECT coalesce(abs(extract(epoch FROM now() - CAST(:signed_at AS timestamptz))) <= :tolerance, true)
                   AS is_in_time
    ), about AS (
        SELECT {COLUMNS}, watched, state IN ({_CLOSED}) AND (watched OR :is_money AND NOT EXISTS (
                   -- What an operator paid back otherwise is with the provider still, and is not to go back once more.
                   SELECT FROM refunds WHERE code = '{BY_HAND}'
                     AND (refunds.booking_id, refunds.attempt) = (attempts.booking_id, attempts.number))) AS is_late
        FROM message JOIN attempts ON is_in_time AND provider = :provider AND intent_id = :intent_id
    ), waiting AS (
        SELECT array_agg(DISTINCT refunds.refund_id) FILTER (WHERE refunds.state = '{TryState.PENDING}') AS refunds,
               array_agg(DISTINCT refunds.refund_id) FILTER (
                   WHERE :is_failure AND refunds.state = '{TryState.SUCCEEDED}' AND code IS DISTINCT FROM '{BY_HAND}'
               ) AS given
        FROM refunds JOIN attempts ON (refunds.booking_id, refunds.attempt) = (attempts.booking_id, attempts.number)
        WHERE :is_refund AND attempts.provider = :provider
          AND refunds.booking_id = coalesce((SELECT booking_id FROM about), CAST(:booking_id AS uuid))
    ), decided AS (
        SELECT is_in_time, refunds, given, coalesce(about.booking_id, CAST(:booking_id AS uuid)) AS of_booking,
               CASE WHEN is_late THEN '{WebhookAction.LATE}'
                    WHEN coalesce(refunds, given) IS NOT NULL THEN '{WebhookAction.REFUND}'
                    WHEN state = '{AttemptState.ACTION_REQUIRED}' AND NOT :is_refund THEN '{WebhookAction.SAGA}'
                    ELSE '{WebhookAction.IGNORED}' END AS decided
        FROM message CROSS JOIN waiting LEFT JOIN about ON true
    ), watching AS (
        UPDATE attempts SET watched = true FROM about
        WHERE is_late AND NOT about.watched
          AND (attempts.booking_id, attempts.number) = (about.booking_id, about.number)
    ), kept AS (
        INSERT INTO webhooks (provider, event_id, type, intent_id, booking_id, course)
        SELECT :provider, :event_id, :type, :intent_id, of_booking, decided FROM decided WHERE is_in_time
        ON CONFLICT DO NOTHING
    )
    SELECT is_in_time, decided, refunds, given, {COLUMNS} FROM decided LEFT JOIN about ON true
    """
)


async def receive(connection: AsyncConnection, news: ProviderNotification) -> WebhookDecision:
    """Store a message, unless it is known, and decide the action.

    Raises:
        NotificationRefused: It was signed too long ago, or in the future, by the database's clock.
    """
    values = news.model_dump(include={"provider", "event_id", "type", "intent_id", "booking_id", "signed_at"})
    values |= {
        "tolerance": TOLERANCE.total_seconds(),
        "is_money": news.kind in MONEY,
        "is_refund": news.kind in (NotificationKind.REFUND, NotificationKind.REFUND_FAILED),
        "is_failure": news.kind is NotificationKind.REFUND_FAILED,
    }
    row = (await connection.execute(_RECEIVE, values)).one()
    if not row.is_in_time:
        raise NotificationRefused("the signature is too old or from the future")
    attempt = read_attempt(row) if row.number else None
    return WebhookDecision(WebhookAction(row.decided), attempt, row.refunds or (), row.given or ())
