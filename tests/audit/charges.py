"""Money that moves at the provider behind the system's back."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx2

from config.settings import Settings, secret


class Charges:
    """Calls the sandbox as Stripe, as somebody with our key could."""

    def __init__(self, settings: Settings) -> None:
        key = secret(settings.stripe_api_key)
        self._http = httpx2.AsyncClient(
            base_url=settings.stripe_api_base, headers={"Authorization": f"Bearer {key}"}, timeout=30
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def charge(self, booking: str, amount: int, *, reserve_only: bool = False) -> str:
        """Take money, or only reserve it, in the name of a booking; the intent's id."""
        form = {
            "amount": str(amount),
            "currency": "eur",
            "confirm": "true",
            "payment_method": "pm_card_visa",
            "payment_method_types[]": "card",
            "capture_method": "manual" if reserve_only else "automatic",
            "metadata[booking_id]": booking,
        }
        return str((await self._post("/v1/payment_intents", form))["id"])

    async def refund(self, intent: str) -> None:
        await self._post("/v1/refunds", {"payment_intent": intent})

    async def void(self, intent: str) -> None:
        await self._post(f"/v1/payment_intents/{intent}/cancel", {})

    async def _post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        answer = await self._http.post(path, data=form)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body
