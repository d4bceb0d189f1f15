"""The part of the control API for webhooks: endpoints, simulated losses, resends."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.control import answer, body_of
from sandbox.webhooks import Webhooks, read_endpoint, read_manner


class WebhookControl:
    """Routes under `/_sandbox/webhooks`."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the application."""
        return [
            web.get("/_sandbox/webhooks", self.list_messages),
            web.put("/_sandbox/webhooks/endpoints/{face}", self.listen),
            web.delete("/_sandbox/webhooks/endpoints/{face}", self.unlisten),
            web.put("/_sandbox/webhooks/manner", self.behave),
            web.post("/_sandbox/webhooks/resend", self.resend),
        ]

    async def list_messages(self, request: web.Request) -> web.StreamResponse:
        """The messages about one booking, with what became of each."""
        return answer({"messages": self._webhooks.of_booking(request.query.get("booking", ""))})

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Send the messages of a provider API to the endpoint in the body."""
        self._webhooks.listen(request.match_info["face"], read_endpoint(await body_of(request)))
        return answer({})

    async def unlisten(self, request: web.Request) -> web.StreamResponse:
        """Send no more messages of a provider API."""
        self._webhooks.listen(request.match_info["face"], None)
        return answer({})

    async def behave(self, request: web.Request) -> web.StreamResponse:
        """The body is a manner of delivery; a booking's id limits it to that booking."""
        body = await body_of(request)
        booking_id = _booking_in(body)
        self._webhooks.behave(booking_id, read_manner(body))
        return answer({})

    async def resend(self, request: web.Request) -> web.StreamResponse:
        """Send all messages about one booking again; the answer has their number."""
        body = await body_of(request)
        return answer({"resent": self._webhooks.resend(_booking_in(body))})


def _booking_in(body: dict[str, Any]) -> str:
    booking_id = body.pop("booking_id", "")
    if not isinstance(booking_id, str):
        raise ValueError("booking_id: a text")
    return booking_id
