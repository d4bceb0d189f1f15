"""The payment provider's own view of payments."""

from __future__ import annotations

from typing import Any

import httpx2

from config.settings import Settings
from tests.http_client import http_client
from tests.provider_settings import stripe_settings

OF_PAYU = {"succeeded": "approved", "failed": "declined"}


class Provider:
    """Controls the payment sandbox, and reads its records."""

    def __init__(self, url: str) -> None:
        self._http = http_client(url)

    async def close(self) -> None:
        await self._http.aclose()

    async def will(self, kind: str, operation: str, booking: str, *, times: int = 1, **more: Any) -> None:
        """Add a fault for one booking."""
        fault = {"operation": operation, "kind": kind, "times": times, "match": {"booking_id": booking}, **more}
        answer = await self._http.post("/_sandbox/faults", json=fault)
        assert answer.status_code == 201, answer.text

    async def intents(self, booking: str) -> list[dict[str, Any]]:
        answer = await self._http.get("/_sandbox/intents", params={"booking": booking})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["intents"]
        return found

    async def kept(self, booking: str) -> int:
        """The buyer's money that the provider has captured or reserved, in minor units."""
        return sum(each["held"] + each["captured"] - each["refunded"] for each in await self.intents(booking))

    async def calls(self, booking: str, operation: str) -> list[dict[str, Any]]:
        answer = await self._http.get("/_sandbox/requests", params={"booking": booking, "operation": operation})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["requests"]
        return found

    async def expire(self, intent: str) -> None:
        """Expire a hold early, as the bank may do."""
        (await self._http.post(f"/_sandbox/intents/{intent}/expire")).raise_for_status()

    async def refunds(self, booking: str) -> list[dict[str, Any]]:
        """The refunds of all of a booking's intents, newest first."""
        found: list[dict[str, Any]] = []
        for intent in await self.intents(booking):
            answer = await self._http.get(f"/_sandbox/intents/{intent['id']}/refunds")
            found += answer.raise_for_status().json()["refunds"]
        return found

    async def left_pending(self, booking: str, face: str = "stripe") -> str | None:
        """The refund that a provider has not decided yet."""
        if face != "payu":
            return next((each["id"] for each in await self.refunds(booking) if each["status"] == "pending"), None)
        refunds: list[dict[str, Any]] = []
        for order in await self.intents(booking):
            if order["face"] == "payu":
                answer = await self._http.get("/_sandbox/payu/refunds", params={"intent": order["id"]})
                refunds += answer.raise_for_status().json()["refunds"]
        return next((each["refundId"] for each in refunds if each["status"] == "PENDING"), None)

    async def decide(self, refund: str, outcome: str, face: str = "stripe") -> None:
        """Let a pending refund succeed or fail."""
        path = f"/_sandbox/refunds/{refund}/settle"
        if face == "payu":
            path, outcome = f"/_sandbox/payu/refunds/{refund}/settle", OF_PAYU[outcome]
        answer = await self._http.post(path, json={"outcome": outcome})
        assert answer.status_code == 200, answer.text

    async def as_stripe(self, path: str, form: dict[str, str], settings: Settings) -> httpx2.Response:
        """Call Stripe's API with the platform's key."""
        key = stripe_settings(settings).api_key.get_secret_value()
        return await self._http.post(path, data=form, headers={"Authorization": f"Bearer {key}"})

    async def in_flight(self, booking: str, operation: str) -> bool:
        """Whether the provider has started or completed such a call."""
        if operation == "create":
            return True
        steps = {"confirm": "create", "capture": "confirm"}
        return bool(await self.calls(booking, steps[operation]))

    async def has_met_its_faults(self, booking: str) -> bool:
        """Whether calls have met all faults of this booking; one that is `slow` may still run."""
        faults = (await self._http.get("/_sandbox/faults")).json()["faults"]
        return all(fault["booking_id"] != booking for fault in faults)

    async def clear_faults(self, booking: str) -> None:
        """Remove every fault of this booking, so that the provider works again."""
        faults = (await self._http.get("/_sandbox/faults")).json()["faults"]
        for fault in faults:
            if fault["booking_id"] == booking:
                await self._http.delete(f"/_sandbox/faults/{fault['id']}")

    async def send(self, booking: str, **manner: float) -> None:
        """Send the webhooks of one booking in this manner: `drop`, `double`, `delay_seconds`, `seed`."""
        answer = await self._http.put("/_sandbox/webhooks/manner", json={"booking_id": booking, **manner})
        assert answer.status_code == 200, answer.text

    async def resend(self, booking: str) -> None:
        """Send all webhooks of a booking again."""
        answer = await self._http.post("/_sandbox/webhooks/resend", json={"booking_id": booking})
        assert answer.status_code == 200, answer.text

    async def messages(self, booking: str) -> list[dict[str, Any]]:
        """The webhooks of a booking, with the number of attempts and the latest response."""
        answer = await self._http.get("/_sandbox/webhooks", params={"booking": booking})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
        return found

    async def settle(self, booking: str, outcome: str = "approved", *, most: int | None = None) -> None:
        """Decide its processing intents, or so many of them."""
        for intent in [each for each in await self.intents(booking) if each["state"] == "processing"][:most]:
            answer = await self._http.post(f"/_sandbox/intents/{intent['id']}/settle", json={"outcome": outcome})
            assert answer.status_code == 200, answer.text

    async def alter(self, booking: str, **change: Any) -> None:
        """Let the booking's latest intent be of another `amount` or `currency` than was asked for."""
        await self.alter_intent((await self.intents(booking))[-1], **change)

    async def alter_intent(self, intent: dict[str, Any], **change: Any) -> None:
        """As `alter`, for one of a booking's intents."""
        answer = await self._http.post(f"/_sandbox/intents/{intent['id']}/alter", json=change)
        assert answer.status_code == 200, answer.text

    async def alter_refund(self, refund: str, amount: int) -> None:
        """Let a refund be of another amount than was asked for."""
        answer = await self._http.post(f"/_sandbox/refunds/{refund}/alter", json={"amount": amount})
        assert answer.status_code == 200, answer.text

    async def act(self, url: str, choice: str) -> None:
        """Answer the provider's 3-D Secure page as the buyer."""
        answer = await self._http.post(url, data={"outcome": choice}, follow_redirects=False)
        assert answer.status_code < 400, answer.text
