"""Serves PayU's REST API under `/payu`: authentication, faults and the log around each operation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

import orjson
from aiohttp import web

from sandbox.calls import Call, CallLog
from sandbox.control import body_of
from sandbox.faults import IN_EXECUTION, ON_ANSWER, ON_ARRIVAL, Fault, Faults
from sandbox.ids import Ids, numeric
from sandbox.intents import Intent, Intents
from sandbox.ledger import Ledger
from sandbox.payu import errors, refunds
from sandbox.payu.cards import ANY_REFUSAL, failure
from sandbox.payu.errors import ApiError, Json
from sandbox.payu.messages import Messages
from sandbox.payu.orders import CAPTURE, ORDER, REQUIRED, STATUS, Orders, booking_of, new_order_id
from sandbox.payu.page import PAGE_PATH, PaymentPage
from sandbox.payu.params import Reader, check
from sandbox.payu.points import OauthError, Point, Tokens
from sandbox.payu.refunds import REFUND, Refunds
from sandbox.store import Store
from sandbox.webhooks import Webhooks
from sandbox.wire import lose

API = "/payu/api/v2_1/orders"
TOKEN_PATH = "/payu/pl/standard/user/oauth/authorize"


@dataclass(frozen=True)
class Answer:
    """The status and the body of a response."""

    status: int
    body: Json | list[Json]
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The HTTP response, with a correlation id of its own as PayU gives each."""
        headers = self.headers | {"Correlation-Id": str(uuid4())}
        body = orjson.dumps(self.body)
        return web.Response(status=self.status, body=body, content_type="application/json", headers=headers)


@dataclass(frozen=True)
class Request:
    """One authenticated and valid call; `fault` applies to its execution."""

    call: Call
    point: Point
    order_id: str
    values: Json
    page: str
    fault: Fault | None


@dataclass(frozen=True)
class Endpoint:
    """One documented call: its name in faults and logs, its fields, and its handler."""

    method: str
    path: str
    operation: str
    run: Callable[[Request], Json | list[Json]]
    fields: Mapping[str, Reader]
    required: tuple[str, ...] = ()
    status: int = 200


class PayUApi:
    """The routes of the PayU API."""

    def __init__(self, store: Store, ledger: Ledger, faults: Faults, log: CallLog, webhooks: Webhooks) -> None:
        self._store = store
        self._faults = faults
        self._log = log
        self._tokens = Tokens()
        ids = Ids(new_order_id, numeric, numeric)
        refusal = failure(ANY_REFUSAL)
        self.intents = Intents(store, ledger, "payu", ids, refusal)
        self._messages = Messages(webhooks, self.intents)
        self.intents.announce = self._messages.order_changed
        self._orders = Orders(store, self.intents)
        self._refunds = Refunds(store, self.intents)
        self._page = PaymentPage(store, self._orders, faults, log)

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the application."""
        calls = [self._route(endpoint) for endpoint in self._endpoints()]
        control = [
            web.delete("/_sandbox/payu/tokens", self.revoke_tokens),
            web.get("/_sandbox/payu/refunds", self.show_refunds),
            web.post("/_sandbox/payu/refunds/{id}/settle", self.settle_refund),
        ]
        return [*calls, *control, web.post(TOKEN_PATH, self.token), *self._page.routes()]

    def _endpoints(self) -> list[Endpoint]:
        one = f"{API}/{{id}}"
        return [
            Endpoint("POST", API, "create", self.create, ORDER, REQUIRED, status=302),
            Endpoint("GET", one, "retrieve", lambda given: self._orders.retrieve(self._order(given)), {}),
            Endpoint("GET", f"{one}/transactions", "list", self.transactions, {}),
            Endpoint("POST", f"{one}/captures", "capture", self.capture, CAPTURE),
            Endpoint("PUT", f"{one}/status", "capture", self.complete, STATUS, ("orderId", "orderStatus")),
            Endpoint("DELETE", one, "cancel", self.cancel, {}),
            Endpoint("POST", f"{one}/refunds", "refund", self.refund, REFUND, ("refund",)),
            Endpoint("GET", f"{one}/refunds", "list", self.list_refunds, {}),
        ]

    def create(self, given: Request) -> Json:
        """Open an order: the buyer pays on the page that the answer names."""
        intent, answer = self._orders.create(given.values, given.point, given.page)
        given.call.intent_id = intent.id
        return answer

    def transactions(self, given: Request) -> Json:
        """The payment attempts of an order."""
        return self._orders.transactions(self._order(given))

    def capture(self, given: Request) -> Json:
        """Take the reserved money, or a part of it."""
        return self._orders.capture(self._order(given), given.values.get("amount"), given.fault)

    def complete(self, given: Request) -> Json:
        """Capture by the older method."""
        if given.values["orderStatus"] != "COMPLETED" or given.values["orderId"] != given.order_id:
            raise errors.invalid("orderStatus", "COMPLETED, and orderId as in the path")
        return self.capture(given)

    def cancel(self, given: Request) -> Json:
        """Cancel an order, and release what is reserved."""
        return self._orders.cancel(self._order(given))

    def refund(self, given: Request) -> Json:
        """Queue a refund, and notify the merchant."""
        intent = self._order(given)
        refund, answer = self._refunds.create(intent, given.values["refund"], given.fault)
        self._messages.refund_changed(intent, refund)
        return answer

    def list_refunds(self, given: Request) -> list[Json]:
        """The refunds of an order."""
        return [refunds.shown(each) for each in self._refunds.all(self._order(given))]

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Issue an OAuth access token for a point of sale."""
        call = Call("payu", "token", request.path)

        async def issue() -> Answer:
            form = {name: str(value) for name, value in (await request.post()).items()}
            try:
                return Answer(200, self._tokens.issue(form))
            except OauthError as refused:
                return Answer(refused.status, refused.body)

        return await self._serve(request, call, issue)

    async def revoke_tokens(self, request: web.Request) -> web.StreamResponse:
        """End all access tokens now."""
        return Answer(200, {"removed": self._tokens.revoke()}).response()

    async def show_refunds(self, request: web.Request) -> web.StreamResponse:
        """List the refunds of one order."""
        intent = self.intents.find(request.query.get("intent", ""))
        if intent is None:
            raise LookupError("intent: no such order")
        return Answer(200, {"refunds": [refunds.shown(each) for each in self._refunds.all(intent)]}).response()

    async def settle_refund(self, request: web.Request) -> web.StreamResponse:
        """Decide a pending refund."""
        outcome = (await body_of(request)).get("outcome")
        if outcome not in ("approved", "declined"):
            raise ValueError("outcome: one of approved, declined")
        with self._store.transaction():
            pending = self._refunds.find(request.match_info["id"])
            refund = self._refunds.settle(pending, approved=outcome == "approved")
            intent = self.intents.find(refund["order_id"])
            assert intent is not None
            self._messages.refund_changed(intent, refund)
        return Answer(200, refunds.shown(refund)).response()

    def _order(self, given: Request) -> Intent:
        return self._orders.of_point(given.order_id, given.point)

    def _route(self, endpoint: Endpoint) -> web.RouteDef:
        async def handle(request: web.Request) -> web.StreamResponse:
            text = await request.read()
            call = self._call(request, endpoint, text)
            return await self._serve(request, call, lambda: self._answer(request, endpoint, call, text))

        return web.route(endpoint.method, endpoint.path, handle)

    def _call(self, request: web.Request, endpoint: Endpoint, text: bytes) -> Call:
        """The intent and the booking of the call; unknown if its body cannot be parsed."""
        order_id = request.match_info.get("id")
        call = Call("payu", endpoint.operation, request.path, order_id)
        with suppress(ApiError):
            given = _parsed(text)
            refund = given.get("refund")
            call.key = given.get("extOrderId") or (refund.get("extRefundId") if isinstance(refund, dict) else None)
            call.booking_id = self.intents.booking_of(order_id) if order_id else booking_of(given.get("extOrderId"))
        return call

    async def _serve(
        self, request: web.Request, call: Call, answer: Callable[[], Awaitable[Answer]]
    ) -> web.StreamResponse:
        struck = self._faults.take(call, ON_ARRIVAL)
        lost = struck if struck and struck.kind.startswith(("timeout", "reset")) else None
        if lost is None:
            given = _at_the_door(struck) if struck else await answer()
            lost = self._faults.take(call, ON_ANSWER)
        if lost is not None:
            self._log.add(call, None)
            return await lose(request, lost)
        self._log.add(call, given.status)
        return given.response()

    async def _answer(self, request: web.Request, endpoint: Endpoint, call: Call, text: bytes) -> Answer:
        try:
            point = self._tokens.point(request.headers.get("Authorization", ""))
            values = check(_parsed(text), endpoint.fields, endpoint.required)
        except ApiError as refused:
            return _refusal(refused)
        fault = self._faults.take(call, IN_EXECUTION)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.delay_seconds)
        if fault and fault.kind == "500_saved":
            # PayU keeps no answers under keys, so a saved failure is one without effect.
            return _refusal(errors.server_error())
        page = f"{request.scheme}://{request.host}{PAGE_PATH}"
        scripted = fault if fault and fault.kind in ("decline", "processing") else None
        done = self._run(endpoint, Request(call, point, request.match_info.get("id", ""), values, page, scripted))
        return _refusal(errors.server_error()) if fault and fault.kind == "500_after" else done

    def _run(self, endpoint: Endpoint, given: Request) -> Answer:
        try:
            with self._store.transaction():
                body = endpoint.run(given)
        except ApiError as refused:
            return _refusal(refused)
        headers = {"Location": body["redirectUri"]} if isinstance(body, dict) and "redirectUri" in body else {}
        return Answer(endpoint.status, body, headers)


def _parsed(text: bytes) -> Json:
    try:
        body = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        raise errors.syntax() from None
    if not isinstance(body, dict):
        raise errors.syntax()
    return body


def _refusal(error: ApiError) -> Answer:
    return Answer(error.status, error.body(), error.headers)


def _at_the_door(fault: Fault) -> Answer:
    return _refusal(errors.rate_limited(fault.retry_after) if fault.kind == "429" else errors.server_error())
