"""Measures every call to a payment provider: how long it took, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from datetime import date
from typing import Final, TypeVar
from uuid import UUID

import structlog
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from prometheus_client import Histogram

from domain.buyers import UNKNOWN, BuyerDetails
from domain.money import Money
from domain.payment_gateway import PaymentGateway
from domain.payments import Intent, ProviderRefund
from domain.reconciliation import MovementPage

T = TypeVar("T")
_log = structlog.get_logger()
_tracer = trace.get_tracer("seatwright.payment")

_CALLS: Final = Histogram(
    "seatwright_provider_call_seconds",
    "Calls to payment providers; `outcome` is `answered` or the error",
    ["provider", "call", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class MeasuredGateway:
    """A gateway whose calls are measured. See `PaymentGateway` for what each does."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway
        self.provider = gateway.provider
        self.quiet = gateway.quiet

    async def close(self) -> None:
        """Not a call to the provider."""
        await self._gateway.close()

    async def keep_turn(self, *, begins: bool = False) -> None:
        """Not a call to the provider."""
        await self._gateway.keep_turn(begins=begins)

    async def create(
        self, booking_id: UUID, amount: Money, *, key: str, return_url: str, buyer: BuyerDetails = UNKNOWN
    ) -> Intent:
        """Measured."""
        return await self._measured(
            "create", self._gateway.create(booking_id, amount, key=key, return_url=return_url, buyer=buyer)
        )

    async def confirm(self, intent_id: str, payment_method: str, *, return_url: str, key: str) -> Intent:
        """Measured."""
        return await self._measured(
            "confirm", self._gateway.confirm(intent_id, payment_method, return_url=return_url, key=key)
        )

    async def retrieve(self, intent_id: str) -> Intent:
        """Measured."""
        return await self._measured("retrieve", self._gateway.retrieve(intent_id))

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        """Measured."""
        return await self._measured("capture", self._gateway.capture(intent_id, key=key))

    async def void(self, intent_id: str, *, key: str) -> Intent:
        """Measured."""
        return await self._measured("void", self._gateway.void(intent_id, key=key))

    async def refund(self, intent_id: str, amount: Money, *, key: str) -> Intent:
        """Measured."""
        return await self._measured("refund", self._gateway.refund(intent_id, amount, key=key))

    async def retrieve_refund(self, intent_id: str, *, key: str) -> ProviderRefund | None:
        """Measured."""
        return await self._measured("retrieve_refund", self._gateway.retrieve_refund(intent_id, key=key))

    async def movements(self, day: date, page: str | None) -> MovementPage:
        """Measured."""
        return await self._measured("movements", self._gateway.movements(day, page))

    async def _measured(self, call: str, answer: Awaitable[T]) -> T:
        began, outcome = time.perf_counter(), "answered"
        try:
            with _tracer.start_as_current_span(f"{self.provider.name} {call}", kind=SpanKind.CLIENT):
                return await answer
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            took = time.perf_counter() - began
            _CALLS.labels(self.provider.name, call, outcome).observe(took)
            named = {"provider": self.provider.name, "call": call, "outcome": outcome}
            _log.debug("provider_call", **named, ms=round(took * 1000, 1))
