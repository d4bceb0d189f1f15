"""Serves iyzico's API over HTTP: signatures, faults and the log around each operation."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web

from sandbox.calls import Call, CallLog
from sandbox.faults import IN_EXECUTION, ON_ANSWER, ON_ARRIVAL, Faults
from sandbox.ids import Ids, numeric
from sandbox.intents import Intents
from sandbox.iyzico import errors
from sandbox.iyzico.cards import failure
from sandbox.iyzico.errors import ApiError
from sandbox.iyzico.messages import Messages
from sandbox.iyzico.operations import Context, Endpoint, Operations
from sandbox.iyzico.page import PaymentPage
from sandbox.iyzico.requests import conversation_id
from sandbox.iyzico.signatures import authenticate
from sandbox.ledger import Ledger
from sandbox.store import Store
from sandbox.webhooks import Webhooks
from sandbox.wire import lose

Json = dict[str, Any]
PAGE_PATH = "/iyzico/checkout"


@dataclass
class Arrival:
    """One call, parsed but not yet validated."""

    endpoint: Endpoint
    call: Call
    given: Json
    context: Context


class IyzicoApi:
    """The routes of the iyzico API under iyzico's own paths, and of the payment page."""

    def __init__(self, store: Store, ledger: Ledger, faults: Faults, log: CallLog, webhooks: Webhooks) -> None:
        self._store = store
        self._faults = faults
        self._log = log
        ids = Ids(intent=lambda: str(uuid4()), attempt=numeric, refund=numeric)
        self.intents = Intents(store, ledger, "iyzico", ids, failure("DO_NOT_HONOUR"))
        messages = Messages(webhooks, self.intents)
        self.intents.announce, self.intents.announce_refund = messages.announce, messages.announce_refund
        self._operations = Operations(store, ledger, self.intents)
        self._page = PaymentPage(store, self.intents, faults, log)

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the application."""
        return [*map(self._route, self._operations.endpoints()), *self._page.routes(PAGE_PATH)]

    def _route(self, endpoint: Endpoint) -> web.RouteDef:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            call = Call("iyzico", endpoint.operation, request.path)
            try:
                secret = _authenticated(request, body)
                given = _read(request, body)
                call.key = conversation_id(given)
            except ApiError as refused:
                return self._send(call, refused.body(), {})
            self._recognize(call, given)
            context = Context(secret, f"{request.scheme}://{request.host}{PAGE_PATH}")
            return await self._serve(request, Arrival(endpoint, call, given, context))

        return web.route(endpoint.method, endpoint.path, handle)

    async def _serve(self, request: web.Request, arrival: Arrival) -> web.StreamResponse:
        call = arrival.call
        struck = self._faults.take(call, ON_ARRIVAL)
        if struck and struck.kind == "429":
            return self._send(call, errors.too_many_calls().body(), arrival.given)
        if struck and struck.kind == "500_before":
            return self._fail(call, 500)
        if struck:
            self._log.add(call, None)
            return await lose(request, struck)
        body = await self._execute(arrival)
        lost = self._faults.take(call, ON_ANSWER)
        if lost:
            self._log.add(call, None)
            return await lose(request, lost)
        return self._fail(call, 500) if body is None else self._send(call, body, arrival.given)

    async def _execute(self, arrival: Arrival) -> Json | None:
        """The response; None if a fault requires a server error, after the effect or instead of it."""
        fault = self._faults.take(arrival.call, IN_EXECUTION)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.delay_seconds)
        if fault and fault.kind == "500_saved":
            return None
        arrival.context.fault = fault if fault and fault.kind in ("decline", "processing") else None
        with self._store.transaction():
            body = self._outcome(arrival)
        return None if fault and fault.kind == "500_after" else body

    def _outcome(self, arrival: Arrival) -> Json:
        call, context = arrival.call, arrival.context
        try:
            return {"status": "success"} | arrival.endpoint.run(arrival.given, context)
        except ApiError as refused:
            return refused.body()
        finally:
            if context.intent is not None:
                call.intent_id, call.booking_id = context.intent.id, context.intent.booking_id

    def _recognize(self, call: Call, given: Json) -> None:
        """The intent of a call, so that faults and log find its booking before it is executed."""
        attempt = self.intents.attempt(str(given["paymentId"])) if given.get("paymentId") else None
        call.intent_id = attempt.intent_id if attempt else str(given["token"]) if given.get("token") else None
        basket = given.get("basketId")
        named = basket if isinstance(basket, str) else None
        call.booking_id = self.intents.booking_of(call.intent_id) if call.intent_id else named

    def _send(self, call: Call, body: Json, given: Json) -> web.Response:
        """Respond with HTTP 200, also to a failure."""
        self._log.add(call, 200)
        echo = {"conversationId": given["conversationId"]} if given.get("conversationId") else {}
        about = {"locale": given.get("locale", "tr"), "systemTime": int(time.time() * 1000)} | echo
        return web.Response(body=orjson.dumps(about | body), content_type="application/json")

    def _fail(self, call: Call, status: int) -> web.Response:
        self._log.add(call, status)
        return web.Response(
            status=status, text="<html><body>Service unavailable</body></html>", content_type="text/html"
        )


def _authenticated(request: web.Request, body: bytes) -> str:
    header, random = request.headers.get("Authorization", ""), request.headers.get("x-iyzi-rnd")
    return authenticate(header, random, request.path, body)


def _read(request: web.Request, body: bytes) -> Json:
    if request.method == "GET":
        return dict(request.query)
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise errors.invalid("the body must be a JSON object")
    return given
