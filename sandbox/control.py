"""The control API under `/_sandbox`: faults, ledger, intents and the log of calls, for tests, audit and operators."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from sandbox.alterations import Alterations
from sandbox.bulk import bring_in
from sandbox.calls import CallLog
from sandbox.disputes import Disputes
from sandbox.faults import Faults, read_fault
from sandbox.intents import Intent, Intents, WrongState, read_intent
from sandbox.ledger import Ledger
from sandbox.records import Refund
from sandbox.store import Store

DEFAULT_LIMIT, HIGHEST_LIMIT, MOST_BOOKINGS = 1000, 20_000, 20_000
CALL_FILTERS = {"booking": "booking_id", "intent": "intent_id", "operation": "operation", "face": "face", "key": "key"}
CALL_QUERY = {*CALL_FILTERS, "since", "limit"}
BOOKING_NAMES = ("booking", "metadata[booking_id]")
PAGE_QUERY = {*BOOKING_NAMES, "since", "limit"}

INTERNAL = {"action_token", "details"}
AMOUNTS = "seq, face, id, booking_id, currency, authorized - captured - released AS held, captured, refunded"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The routes of the control API; errors are `{"error": {"message": …}}`."""

    def __init__(
        self, store: Store, ledger: Ledger, faults: Faults, log: CallLog, intents: Mapping[str, Intents]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._alterations = Alterations(store, ledger)
        self._disputes = Disputes(store, ledger)
        self._faults = faults
        self._log = log
        self._intents = intents

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the application."""
        return [
            web.get("/healthz", self.health),
            web.post("/_sandbox/faults", self.add_fault),
            web.get("/_sandbox/faults", self.list_faults),
            web.delete("/_sandbox/faults", self.clear_faults),
            web.delete("/_sandbox/faults/{id}", self.remove_fault),
            web.get("/_sandbox/ledger", self.ledger),
            web.post("/_sandbox/ledger", self.ledger),
            web.get("/_sandbox/balances", self.balances),
            web.get("/_sandbox/intents", self.list_intents),
            web.post("/_sandbox/intents", self.list_intents),
            web.get("/_sandbox/amounts", self.amounts),
            web.post("/_sandbox/amounts", self.amounts),
            web.post("/_sandbox/intents/import", self.bring_in),
            web.post("/_sandbox/intents/{id}/expire", self.expire),
            web.post("/_sandbox/intents/{id}/settle", self.settle),
            web.post("/_sandbox/intents/{id}/alter", self.alter),
            web.post("/_sandbox/intents/{id}/dispute", self.dispute),
            web.get("/_sandbox/intents/{id}/refunds", self.refunds),
            web.post("/_sandbox/refunds/{id}/alter", self.alter_refund),
            web.post("/_sandbox/refunds/{id}/settle", self.settle_refund),
            web.get("/_sandbox/requests", self.calls),
        ]

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Answer that the process serves."""
        return answer({"status": "ok"})

    async def add_fault(self, request: web.Request) -> web.StreamResponse:
        """Add the rule in the body; the answer has the id to remove it by."""
        fault = read_fault(await body_of(request), self._intents.keys())
        return answer({"id": self._faults.add(fault)}, 201)

    async def list_faults(self, request: web.Request) -> web.StreamResponse:
        """The active rules with their remaining uses."""
        return answer({"faults": self._faults.all()})

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        """Remove all rules; the answer has their number."""
        return answer({"removed": self._faults.remove()})

    async def remove_fault(self, request: web.Request) -> web.StreamResponse:
        """Remove one rule; 404 if it is used up or was never added."""
        if not self._faults.remove(number_of(request.match_info["id"], "id")):
            raise LookupError(f"no fault {request.match_info['id']}")
        return answer({"removed": 1})

    async def ledger(self, request: web.Request) -> web.StreamResponse:
        """Ledger entries and their intents, of some bookings or page by page of all."""
        bookings, since, limit = await self._selection(request)
        with self._store.transaction():
            self._expire_due()
            if bookings is None:
                entries = self._ledger.page(since, limit)
                next_since = entries[-1]["seq"] if len(entries) == limit else None
                intents = self._intents_of_entries(entries)
            else:
                entries, next_since = self._ledger.of_bookings(bookings, since), None
                intents = self._intents_of_bookings(bookings)
        return answer({"entries": entries, "intents": intents, "next_since": next_since})

    async def balances(self, request: web.Request) -> web.StreamResponse:
        """The balance of each account, after due expiries."""
        with self._store.transaction():
            self._expire_due()
        return answer({"balances": self._ledger.balances()})

    async def list_intents(self, request: web.Request) -> web.StreamResponse:
        """Summaries of the intents, of some bookings or page by page of all."""
        bookings, since, limit = await self._selection(request)
        with self._store.transaction():
            self._expire_due()
            if bookings is not None:
                return answer({"intents": self._intents_of_bookings(bookings), "next_since": None})
            rows = self._store.all("SELECT * FROM intents WHERE seq > ? ORDER BY seq LIMIT ?", since, limit)
        next_since = rows[-1]["seq"] if len(rows) == limit else None
        return answer({"intents": [self._summary(read_intent(row)) for row in rows], "next_since": next_since})

    async def amounts(self, request: web.Request) -> web.StreamResponse:
        """The amounts of each intent only, in its API's units, of some bookings or page by page of all."""
        bookings, since, limit = await self._selection(request)
        with self._store.transaction():
            self._expire_due()
            if bookings is None:
                rows = self._store.all(
                    f"SELECT {AMOUNTS} FROM intents WHERE seq > ? ORDER BY seq LIMIT ?", since, limit
                )
            else:
                sql = f"SELECT {AMOUNTS} FROM intents WHERE booking_id = ? ORDER BY seq"
                rows = [row for booking in bookings for row in self._store.all(sql, booking)]
        next_since = rows[-1]["seq"] if bookings is None and len(rows) == limit else None
        return answer({"amounts": [tuple(row)[1:] for row in rows], "next_since": next_since})

    async def bring_in(self, request: web.Request) -> web.StreamResponse:
        """Import ended intents of one provider API; all of them or none."""
        body = await body_of(request)
        intents, wanted = self._intents.get(body.get("face", "stripe")), body.get("intents")
        if intents is None or not isinstance(wanted, list):
            raise ValueError(f"face: one of {', '.join(self._intents)}; intents: a list")
        with self._store.transaction():
            ids = bring_in(intents, wanted)
        return answer({"ids": ids}, 201)

    async def expire(self, request: web.Request) -> web.StreamResponse:
        """Expire a hold now, as the issuer does."""
        with self._store.transaction():
            intents, intent = self._find(request)
            intents.expire(intent)
        return answer(self._summary(intent))

    async def settle(self, request: web.Request) -> web.StreamResponse:
        """Decide an intent that is processing."""
        outcome = (await body_of(request)).get("outcome")
        if outcome not in ("approved", "declined"):
            raise ValueError("outcome: one of approved, declined")
        with self._store.transaction():
            intents, intent = self._find(request)
            intents.settle(intent, None if outcome == "approved" else intents.refusal)
        return answer(self._summary(intent))

    async def dispute(self, request: web.Request) -> web.StreamResponse:
        """Let the buyer dispute a payment, or the merchant win the dispute."""
        outcome = (await body_of(request)).get("outcome")
        if outcome not in ("opened", "won"):
            raise ValueError("outcome: one of opened, won")
        with self._store.transaction():
            _, intent = self._find(request)
            (self._disputes.open if outcome == "opened" else self._disputes.win)(intent)
        return answer(self._summary(intent))

    async def alter(self, request: web.Request) -> web.StreamResponse:
        """Give an intent the `amount` or `currency` in the body instead."""
        body = await body_of(request)
        with self._store.transaction():
            _, intent = self._find(request)
            amount, currency = body.get("amount", intent.amount), body.get("currency", intent.currency)
            if not isinstance(amount, int) or amount < 1 or not isinstance(currency, str):
                raise ValueError("amount: a positive whole number; currency: a code")
            self._alterations.alter(intent, amount, currency)
        return answer(self._summary(intent))

    async def alter_refund(self, request: web.Request) -> web.StreamResponse:
        """Give a refund the `amount` in the body instead."""
        amount = (await body_of(request)).get("amount")
        if not isinstance(amount, int) or amount < 1:
            raise ValueError("amount: a positive whole number")
        with self._store.transaction():
            _, intent, refund = self._find_refund(request)
            self._alterations.alter_refund(intent, refund, amount)
        return answer({"amount": amount})

    async def refunds(self, request: web.Request) -> web.StreamResponse:
        """An intent's refunds, newest first."""
        intents, intent = self._find(request)
        return answer({"refunds": [vars(refund) for refund in intents.refunds(intent.id)]})

    async def settle_refund(self, request: web.Request) -> web.StreamResponse:
        """Decide a pending refund, or let a succeeded one fail."""
        outcome = (await body_of(request)).get("outcome")
        if outcome not in ("succeeded", "failed"):
            raise ValueError("outcome: one of succeeded, failed")
        with self._store.transaction():
            intents, intent, refund = self._find_refund(request)
            return answer(vars(intents.settle_refund(intent, refund, outcome)))

    async def calls(self, request: web.Request) -> web.StreamResponse:
        """Calls that the provider APIs received, oldest first."""
        since, limit = page_of(request, CALL_QUERY)
        filters = {CALL_FILTERS[name]: value for name, value in request.query.items() if name in CALL_FILTERS}
        calls = self._log.find(filters, since, limit)
        return answer({"requests": calls, "next_since": calls[-1]["seq"] if len(calls) == limit else None})

    async def _selection(self, request: web.Request) -> tuple[list[str] | None, int, int]:
        """The bookings in the query (None: all), and the page."""
        since, limit = page_of(request, PAGE_QUERY)
        if request.method == "POST":
            return bookings_in(await body_of(request)), since, limit
        named = [value for name in BOOKING_NAMES for value in request.query.getall(name, [])]
        return named or None, since, limit

    def _expire_due(self) -> None:
        for intents in self._intents.values():
            intents.expire_due()

    def _find(self, request: web.Request) -> tuple[Intents, Intent]:
        for intents in self._intents.values():
            intent = intents.find(request.match_info["id"])
            if intent is not None:
                return intents, intent
        raise LookupError(f"no intent {request.match_info['id']}")

    def _find_refund(self, request: web.Request) -> tuple[Intents, Intent, Refund]:
        for intents in self._intents.values():
            refund = intents.find_refund(request.match_info["id"])
            intent = intents.find(refund.intent_id) if refund else None
            if refund and intent:
                return intents, intent, refund
        raise LookupError(f"no refund {request.match_info['id']}")

    def _intents_of_entries(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        sql = "SELECT * FROM intents WHERE id = ?"
        ids = dict.fromkeys(entry["intent_id"] for entry in entries)
        return [self._summary(read_intent(row)) for each in ids for row in self._store.all(sql, each)]

    def _intents_of_bookings(self, bookings: list[str]) -> list[dict[str, Any]]:
        sql = "SELECT * FROM intents WHERE booking_id = ? ORDER BY seq"
        return [self._summary(read_intent(row)) for each in bookings for row in self._store.all(sql, each)]

    def _summary(self, intent: Intent) -> dict[str, Any]:
        """An intent as JSON; `keys` are the idempotency keys of its calls, in order of first use.

        `buyer` and `customer_ip` are what the merchant has sent about its buyer.
        """
        rows = self._store.all("SELECT key FROM calls WHERE intent_id = ? AND key NOT NULL ORDER BY seq", intent.id)
        shown = {name: value for name, value in vars(intent).items() if name not in INTERNAL}
        told = {"buyer": intent.details.get("buyer"), "customer_ip": intent.details.get("customerIp")}
        return shown | told | {"held": intent.held, "keys": list(dict.fromkeys(row["key"] for row in rows))}


async def unknown(request: web.Request) -> web.StreamResponse:
    """Answer 404 to a path under `/_sandbox` that has no route."""
    raise LookupError(f"no such call: {request.method} {request.path}")


@web.middleware
async def clear_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Render errors of the control API as JSON; the provider APIs render their own."""
    if not request.path.startswith("/_sandbox"):
        return await handler(request)
    try:
        return await handler(request)
    except ValueError as error:
        return answer({"error": {"message": str(error)}}, 400)
    except LookupError as error:
        return answer({"error": {"message": str(error.args[0])}}, 404)
    except WrongState as error:
        return answer({"error": {"message": str(error), "state": error.intent.state}}, 409)


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


async def body_of(request: web.Request) -> dict[str, Any]:
    """Raises: ValueError: The body is not a JSON object."""
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


def bookings_in(body: dict[str, Any]) -> list[str]:
    """The booking ids in a body, each once and in order.

    Raises:
        ValueError: There is no such list, or it has more than `MOST_BOOKINGS`.
    """
    bookings = body.get("bookings")
    if not isinstance(bookings, list) or not all(isinstance(each, str) for each in bookings):
        raise ValueError("bookings: a list of booking ids")
    if len(bookings) > MOST_BOOKINGS:
        raise ValueError(f"bookings: at most {MOST_BOOKINGS}")
    return list(dict.fromkeys(bookings))


def page_of(request: web.Request, known: set[str]) -> tuple[int, int]:
    """`since` and `limit` of a query.

    Raises:
        ValueError: A parameter is unknown or out of range; the message names it.
    """
    for name in request.query.keys() - known:
        raise ValueError(f"{name}: unknown; one of {', '.join(sorted(known))}")
    since = number_of(request.query.get("since", "0"), "since")
    limit = number_of(request.query.get("limit", str(DEFAULT_LIMIT)), "limit")
    if not 1 <= limit <= HIGHEST_LIMIT:
        raise ValueError(f"limit: from 1 to {HIGHEST_LIMIT}")
    return since, limit


def number_of(text: str, name: str) -> int:
    """A whole number, zero or more.

    Raises:
        ValueError: The text is none; the message has `name`.
    """
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{name}: a whole number")
    return int(text)
