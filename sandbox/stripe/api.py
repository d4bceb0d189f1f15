"""Serves Stripe's API over HTTP: authentication, faults, idempotency and the log around each operation."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from sandbox.calls import Call, CallLog
from sandbox.faults import IN_EXECUTION, ON_ANSWER, ON_ARRIVAL, Fault, Faults
from sandbox.idempotency import KeyInUse, KeyMismatch, Keys, SavedAnswer
from sandbox.ids import Ids, prefixed
from sandbox.intents import Intent, Intents
from sandbox.ledger import Ledger
from sandbox.store import Store
from sandbox.stripe import errors
from sandbox.stripe.amounts import written
from sandbox.stripe.cards import failure
from sandbox.stripe.errors import ApiError
from sandbox.stripe.messages import Messages
from sandbox.stripe.objects import Renderer, client_secret
from sandbox.stripe.operations import Context, Endpoint, Operations
from sandbox.stripe.params import check, parse_form, require
from sandbox.three_d_secure import ThreeDSecure
from sandbox.webhooks import Webhooks
from sandbox.wire import lose

API_VERSION = "2026-10-28.endive"
LONGEST_KEY = 255
ACTION_PATH = "/stripe/3d-secure"
IDS = Ids(prefixed("pi"), prefixed("ch"), prefixed("re"))


@dataclass
class Answer:
    """The status and the body of a response."""

    status: int
    body: bytes
    request_id: str
    headers: dict[str, str] = field(default_factory=dict)
    replayed: bool = False


@dataclass(frozen=True)
class Arrival:
    """One call, parsed but not yet validated; `malformed` is the reason if parsing failed."""

    endpoint: Endpoint
    call: Call
    context: Context
    form: dict[str, Any]
    fingerprint: str
    request_id: str
    malformed: ApiError | None


class StripeApi:
    """The routes of the Stripe API."""

    def __init__(self, store: Store, ledger: Ledger, faults: Faults, log: CallLog, webhooks: Webhooks) -> None:
        self._store = store
        self._faults = faults
        self._log = log
        self._keys = Keys(store, "stripe")
        self.intents = Intents(store, ledger, "stripe", IDS, failure("generic_decline"))
        messages = Messages(webhooks, Renderer(self.intents), API_VERSION)
        self.intents.announce, self.intents.announce_refund = messages.announce, messages.announce_refund
        self._operations = Operations(store, ledger, self.intents)
        self._pages = ThreeDSecure(store, self.intents, self._operations.authenticated, return_parameters, describe)

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the application."""
        calls = [self._route(endpoint) for endpoint in self._operations.endpoints()]
        return [*calls, *self._pages.routes(ACTION_PATH), web.route("*", "/v1/{rest:.*}", unrecognized)]

    def _route(self, endpoint: Endpoint) -> web.RouteDef:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, await self._read(request, endpoint))

        return web.route(endpoint.method, endpoint.path, handle)

    async def _serve(self, request: web.Request, arrival: Arrival) -> web.StreamResponse:
        try:
            authenticate(request.headers.get("Authorization", ""))
        except ApiError as refused:
            return self._send(arrival, _answer(refused, arrival.request_id))
        struck = self._faults.take(arrival.call, ON_ARRIVAL)
        if struck and struck.kind.startswith(("timeout", "reset")):
            self._log.add(arrival.call, None)
            return await lose(request, struck)
        answer = _answer(_at_the_door(struck), arrival.request_id) if struck else await self._answer(arrival)
        return await self._deliver(request, arrival, answer)

    async def _deliver(self, request: web.Request, arrival: Arrival, answer: Answer) -> web.StreamResponse:
        lost = self._faults.take(arrival.call, ON_ANSWER)
        if lost is None:
            return self._send(arrival, answer)
        self._log.add(arrival.call, None, replayed=answer.replayed)
        return await lose(request, lost)

    def _send(self, arrival: Arrival, answer: Answer) -> web.Response:
        self._log.add(arrival.call, answer.status, replayed=answer.replayed)
        headers = {"Request-Id": answer.request_id, "Stripe-Version": API_VERSION} | answer.headers
        if arrival.call.key is not None:
            headers["Idempotency-Key"] = arrival.call.key
        return web.Response(status=answer.status, body=answer.body, content_type="application/json", headers=headers)

    async def _answer(self, arrival: Arrival) -> Answer:
        """Replay the response saved under the key, or execute and save it."""
        key = arrival.call.key
        if key is None:
            return await self._execute(arrival)
        try:
            saved = self._claim(arrival, key)
        except ApiError as refused:
            return _answer(refused, arrival.request_id)
        if saved is not None:
            headers = {"Idempotent-Replayed": "true", "Original-Request": saved.request_id}
            return Answer(saved.status, saved.body, arrival.request_id, headers, replayed=True)
        try:
            return await self._execute(arrival)
        finally:
            self._keys.release(key)

    def _claim(self, arrival: Arrival, key: str) -> SavedAnswer | None:
        path = arrival.call.path
        if len(key) > LONGEST_KEY:
            raise ApiError("Idempotency keys can be at most 255 characters long.", type="idempotency_error")
        try:
            return self._keys.claim(key, path, arrival.fingerprint)
        except KeyInUse:
            raise errors.key_in_use(key) from None
        except KeyMismatch as mismatch:
            raise errors.key_mismatch(key, path, mismatch.path) from None

    async def _execute(self, arrival: Arrival) -> Answer:
        """A response to invalid parameters is not saved; any later outcome is saved under the key."""
        try:
            values = _checked(arrival)
        except ApiError as refused:
            return _answer(refused, arrival.request_id)
        fault = self._faults.take(arrival.call, IN_EXECUTION)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.delay_seconds)
        with self._store.transaction():
            answer = self._outcome(arrival, values, fault)
            self._keep(arrival, answer)
        return answer

    def _outcome(self, arrival: Arrival, values: dict[str, Any], fault: Fault | None) -> Answer:
        if fault and fault.kind == "500_saved":
            return _answer(errors.server_error(), arrival.request_id)
        answer = self._run(arrival, values, fault)
        if fault and fault.kind == "500_after":
            return _answer(errors.server_error(), arrival.request_id)
        return answer

    def _run(self, arrival: Arrival, values: dict[str, Any], fault: Fault | None) -> Answer:
        context = arrival.context
        context.fault = fault if fault and fault.kind in ("decline", "processing") else None
        try:
            body = arrival.endpoint.run(values, context)
        except ApiError as refused:
            return _answer(refused, arrival.request_id)
        finally:
            arrival.call.intent_id = context.intent_id or arrival.call.intent_id
        return Answer(200, orjson.dumps(body), arrival.request_id)

    def _keep(self, arrival: Arrival, answer: Answer) -> None:
        if arrival.call.key is not None:
            saved = SavedAnswer(answer.status, answer.body, answer.request_id)
            self._keys.save(arrival.call.key, arrival.call.path, arrival.fingerprint, saved)

    async def _read(self, request: web.Request, endpoint: Endpoint) -> Arrival:
        posted = endpoint.method == "POST"
        text = (await request.read()).decode("utf-8", "replace") if posted else request.rel_url.raw_query_string
        form, malformed = _parsed(text)
        object_id = request.match_info.get("id", "")
        call = Call("stripe", endpoint.operation, request.path, self._intent_of(object_id, form))
        call.booking_id = self.intents.booking_of(call.intent_id) if call.intent_id else _booking_in(form)
        call.key = request.headers.get("Idempotency-Key") if posted else None
        context = Context(object_id, request.path, f"{request.scheme}://{request.host}{ACTION_PATH}")
        return Arrival(endpoint, call, context, form, _fingerprint(form), _request_id(), malformed)

    def _intent_of(self, object_id: str, form: dict[str, Any]) -> str | None:
        if object_id.startswith("re_"):
            refund = self.intents.find_refund(object_id)
            return refund.intent_id if refund else None
        if object_id.startswith("ch_"):
            attempt = self.intents.attempt(object_id)
            return attempt.intent_id if attempt else None
        given = object_id or form.get("payment_intent")
        return given if isinstance(given, str) else None


def authenticate(header: str) -> None:
    """Accept any test secret key, as Bearer token or as Basic user name.

    Raises:
        ApiError: 401, as at Stripe.
    """
    scheme, _, credentials = header.partition(" ")
    key = credentials if scheme == "Bearer" else _basic_user(credentials) if scheme == "Basic" else ""
    if not key:
        raise errors.no_key_given()
    if not re.fullmatch(r"sk_test_\w+", key):
        raise errors.invalid_key(key)


def return_parameters(intent: Intent) -> dict[str, str]:
    """The parameters that Stripe appends to `return_url` (docs.stripe.com/payments/3d-secure/authentication-flow)."""
    return {"payment_intent": intent.id, "payment_intent_client_secret": client_secret(intent)}


def describe(intent: Intent) -> str:
    """A payment as shown to the buyer."""
    return f"{written(intent.amount, intent.currency)} to Sandbox Shop, payment {intent.id}"


async def unrecognized(request: web.Request) -> web.StreamResponse:
    """Answer as Stripe does to an unknown path under `/v1`."""
    answer = _answer(errors.unrecognized_url(request.method, request.path), _request_id())
    return web.Response(status=answer.status, body=answer.body, content_type="application/json")


def _checked(arrival: Arrival) -> dict[str, Any]:
    if arrival.malformed:
        raise arrival.malformed
    values = check(arrival.form, arrival.endpoint.params)
    require(values, *arrival.endpoint.required)
    return values


def _at_the_door(fault: Fault) -> ApiError:
    return errors.rate_limited(fault.retry_after) if fault.kind == "429" else errors.server_error()


def _answer(error: ApiError, request_id: str) -> Answer:
    return Answer(error.status, orjson.dumps(error.body(request_id)), request_id, error.headers)


def _parsed(text: str) -> tuple[dict[str, Any], ApiError | None]:
    try:
        return parse_form(text), None
    except ApiError as malformed:
        return {}, malformed


def _booking_in(form: dict[str, Any]) -> str | None:
    metadata = form.get("metadata")
    booking = metadata.get("booking_id") if isinstance(metadata, dict) else None
    return booking if isinstance(booking, str) else None


def _basic_user(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _fingerprint(form: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(form, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _request_id() -> str:
    return f"req_{secrets.token_hex(7)}"
