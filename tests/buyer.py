"""A buyer who uses the REST API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx2

from tests.waiting import eventually

CARD = "pm_card_visa"
DECLINED_CARD = "pm_card_visa_chargeDeclined"
CARD_WITH_3DS = "pm_card_threeDSecure2Required"
UNFINISHED = {"held", "paying", "action_required"}


async def with_reason(order: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """Repeat an order that failed until the answer says why. A busy saga may be too late to say it."""

    async def answer() -> httpx2.Response:
        told = await order()
        assert "The payment was not completed." not in told.text, told.text
        return told

    return await eventually(answer)


class Buyer:
    """A person with an access token, at one API process."""

    def __init__(self, http: httpx2.AsyncClient, user_id: UUID, token: str) -> None:
        self._http = http
        self.user_id = user_id
        self.headers = {"Authorization": f"Bearer {token}"}

    def at(self, http: httpx2.AsyncClient) -> Buyer:
        """The same person at another API process."""
        other = Buyer(http, self.user_id, "")
        other.headers = self.headers
        return other

    async def hold(
        self, event: str, *seats: str, key: str | None = None, quantities: dict[str, int] | None = None, **more: Any
    ) -> httpx2.Response:
        body = {"event_id": event, "seats": list(seats), "quantities": quantities or {}, **more}
        return await self.post("/v1/bookings", body, key=key or str(uuid4()))

    async def held(self, event: str, *seats: str, quantities: dict[str, int] | None = None, **more: Any) -> str:
        """Hold; returns the booking's id."""
        key = str(uuid4())
        answer = await self.hold(event, *seats, key=key, quantities=quantities, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def pay(
        self, booking: str, method: str | None = CARD, *, provider: str = "stripe", key: str | None = None, **more: Any
    ) -> httpx2.Response:
        body = {"provider": provider} | ({"payment_method": method} if method else {}) | more
        return await self.post(f"/v1/bookings/{booking}/payment", body, key=key or str(uuid4()))

    async def bought(self, event: str, *seats: str, quantities: dict[str, int] | None = None) -> dict[str, Any]:
        """Hold and pay; returns the confirmed booking."""
        booking, key = await self.held(event, *seats, quantities=quantities), str(uuid4())
        answer = await self.pay(booking, key=key)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def abandon(self, booking: str) -> httpx2.Response:
        return await self._http.delete(f"/v1/bookings/{booking}/payment", headers=self.headers)

    async def refund(
        self, booking: str, *tickets: str, key: str | None = None, reason: str = "We cannot come.", **more: Any
    ) -> httpx2.Response:
        body = {"reason": reason, "tickets": list(tickets), **more}
        return await self.post(f"/v1/bookings/{booking}/refund", body, key=key or str(uuid4()))

    async def exchange(
        self, booking: str, ticket: str, seat: str, *, key: str | None = None, method: str | None = CARD, **more: Any
    ) -> httpx2.Response:
        """Exchange a ticket's seat; paid with a card at Stripe unless `method` is None."""
        how = {"provider": "stripe", "payment_method": method} if method else {}
        body = {"ticket": ticket, "seat": seat} | how | more
        return await self.post(f"/v1/bookings/{booking}/exchange", body, key=key or str(uuid4()))

    async def quote_refund(self, booking: str, *tickets: str, **more: Any) -> httpx2.Response:
        return await self.post(f"/v1/bookings/{booking}/refund/quote", {"tickets": list(tickets), **more})

    async def quote_exchange(self, booking: str, ticket: str, seat: str) -> httpx2.Response:
        return await self.post(f"/v1/bookings/{booking}/exchange/quote", {"ticket": ticket, "seat": seat})

    async def exchanges(self, booking: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/v1/bookings/{booking}/exchanges")).json()["exchanges"]
        return found

    async def delete(self, path: str) -> httpx2.Response:
        return await self._http.delete(path, headers=self.headers)

    async def refunds(self, booking: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/v1/bookings/{booking}/refunds")).json()["refunds"]
        return found

    async def cancel(self, booking: str) -> httpx2.Response:
        return await self._http.delete(f"/v1/bookings/{booking}", headers=self.headers)

    async def booking(self, booking: str) -> dict[str, Any]:
        body: dict[str, Any] = (await self.get(f"/v1/bookings/{booking}")).json()
        return body

    async def status(self, booking: str) -> str:
        return str((await self.booking(booking))["status"])

    async def ends_as(self, booking: str, *statuses: str, within: float = 90) -> str:
        """Wait until the booking has one of these states."""

        async def there() -> str | None:
            status = await self.status(booking)
            assert status in statuses, status
            return status

        return str(await eventually(there, within=within))

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx2.Response:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return await self._http.post(path, json=body, headers=headers)

    async def get(self, path: str) -> httpx2.Response:
        return await self._http.get(path, headers=self.headers)
