"""The durable state of each booking: the reservation database and the provider's ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import make_url

from config.settings import Settings
from tests.http_client import http_client


class Money(NamedTuple):
    """The provider's money of one booking, in minor units.

    Attributes:
        taken: Captured and not refunded.
        captures: By so many intents.
        reserved: Authorized, and neither taken nor let go.
    """

    taken: int = 0
    captures: int = 0
    reserved: int = 0


class Fact(NamedTuple):
    """One booking.

    Attributes:
        amount: Its price in minor units.
        tickets: The ids of its valid tickets.
    """

    status: str
    user_id: UUID
    event_id: UUID
    seats: Sequence[str]
    quantities: Mapping[str, int]
    amount: int
    tickets: Sequence[str]
    money: Money = Money()


def dsn(settings: Settings, service: Any) -> str:
    """The connection string of a service's database, for psycopg."""
    url = make_url(settings.database_url(service)).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


async def bookings_of(settings: Settings, events: Sequence[str]) -> dict[str, Fact]:
    """All bookings of these events, by id."""
    statement = """
        SELECT b.id, b.status, b.user_id, b.event_id, b.seats, b.quantities, b.amount,
               array(SELECT t.id::text FROM tickets t WHERE t.booking_id = b.id AND t.status = 'valid') AS tickets
        FROM bookings b WHERE b.event_id = ANY(%s)
    """
    async with await psycopg.AsyncConnection.connect(dsn(settings, "reservation"), row_factory=dict_row) as connection:
        rows = await (await connection.execute(statement, [[UUID(event) for event in events]])).fetchall()
    facts = {str(row.pop("id")): Fact(**row) for row in rows}
    money = await money_of(settings, list(facts))
    return {booking: fact._replace(money=money[booking]) for booking, fact in facts.items()}


async def money_of(settings: Settings, bookings: Sequence[str]) -> dict[str, Money]:
    """The provider's money by booking, including bookings without a row."""
    found: dict[str, Money] = defaultdict(Money)
    async with http_client(settings.sandbox_url) as provider:
        answer = await provider.post("/_sandbox/intents", json={"bookings": list(bookings)})
    for intent in answer.raise_for_status().json()["intents"]:
        before, taken = found[intent["booking_id"]], intent["captured"] - intent["refunded"]
        found[intent["booking_id"]] = Money(
            before.taken + taken, before.captures + (taken > 0), before.reserved + intent["held"]
        )
    return found
