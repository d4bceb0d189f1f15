"""Creates thousands of paid bookings in every database and at the provider, without sagas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from db.engine import open_engine
from db.payment import attempts
from db.payment.attempts import AttemptState
from domain.bookings import Booking, BookingStatus
from domain.domain_events import PaymentAuthorized, PaymentCaptured
from domain.money import Money
from tests.db import booking_steps
from tests.http_client import http_client

_AT_ONCE = 10


async def sold(settings: Settings, event: str, count: int) -> list[str]:
    """Create bookings of one standing place each, spread over the buyers; returns their ids."""
    reservation = open_engine(settings.database_url("reservation"), serves_callers=False)
    payment = open_engine(settings.database_url("payment"), serves_callers=False)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def claimed() -> Booking:
        async with gate:
            return await booking_steps.claim(reservation, UUID(event), Standing=1)

    async def paid(booking: Booking, intent: str) -> str:
        async with gate:
            await _pay(payment, booking, intent)
            await booking_steps.confirm(
                reservation, await booking_steps.move(reservation, booking, BookingStatus.PAYING)
            )
            return str(booking.id)

    try:
        bookings = await asyncio.gather(*(claimed() for _ in range(count)))
        intents = await _charged(settings, bookings)
        return list(await asyncio.gather(*map(paid, bookings, intents)))
    finally:
        await reservation.dispose()
        await payment.dispose()


async def _charged(settings: Settings, bookings: Sequence[Booking]) -> list[str]:
    """Create their captured intents at the provider."""
    wanted = [
        {"booking_id": str(each.id), "amount": each.amount, "currency": each.currency.lower(), "end": "captured"}
        for each in bookings
    ]
    async with http_client(settings.sandbox_url) as sandbox:
        answer = await sandbox.post("/_sandbox/intents/import", json={"face": "stripe", "intents": wanted})
    assert answer.status_code == 201, answer.text
    ids: list[str] = answer.json()["ids"]
    return ids


async def _pay(engine: AsyncEngine, booking: Booking, intent: str) -> None:
    price = Money(amount=booking.amount, currency=booking.currency)
    async with engine.begin() as connection:
        attempt = await attempts.open_attempt(
            connection, booking.id, "stripe", price, datetime.now(UTC) + timedelta(minutes=10)
        )
        assert attempt
        attempt = await attempts.note_intent(connection, attempt, intent)
        assert attempt
        told = {"booking_id": booking.id, "provider": "stripe", "attempt": 1, **price.model_dump()}
        await attempts.reach(connection, attempt, AttemptState.AUTHORIZED, PaymentAuthorized(**told))
        await attempts.reach(connection, attempt, AttemptState.CAPTURED, PaymentCaptured(**told))
