"""PayU's payment page and the bank's 3-D Secure page: the buyer pays, and is redirected to the merchant."""

from __future__ import annotations

import hmac
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.calls import Call, CallLog
from sandbox.faults import IN_EXECUTION, Faults
from sandbox.intents import Intent, State
from sandbox.payu.cards import CARDS
from sandbox.payu.orders import Orders
from sandbox.store import Store

PAGE_PATH, BANK_PATH = "/payu/pay/", "/payu/3d-secure"
PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}
PAYMENT, BANK = "Payment", "3-D Secure 2"
CHOICES = "".join(
    f'<label><input type="radio" name="card" value="{value}"{" checked" if value == "approved" else ""}>'
    f"{escape(card.label)}</label>"
    for value, card in CARDS.items()
)
PAY = f'<form method="post"><fieldset><legend>Test card</legend>{CHOICES}</fieldset><button>Pay</button></form>'
ANSWER = (
    '<form method="post"><button name="outcome" value="approve">Approve payment</button>'
    '<button name="outcome" value="fail" class="quiet">Refuse</button></form>'
)
OUTCOMES = {"approve": True, "fail": False}
FAILED = "error=501"
"""The parameter that PayU appends to continueUrl after a failed payment."""


class PaymentPage:
    """The buyer's pages. Leaving a page decides nothing: the order stays unpaid until its validity ends."""

    def __init__(self, store: Store, orders: Orders, faults: Faults, log: CallLog) -> None:
        self._store = store
        self._orders = orders
        self._faults = faults
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the application."""
        bank = f"{BANK_PATH}/{{token}}"
        return [
            web.get(PAGE_PATH, self.show_order),
            web.post(PAGE_PATH, self.pay),
            web.get(bank, self.show_challenge),
            web.post(bank, self.answer_challenge),
        ]

    async def show_order(self, request: web.Request) -> web.StreamResponse:
        """The payment page; an order that waits for the bank is redirected to the bank's page."""
        intent = self._order(request)
        if intent and intent.state is State.ACTION_REQUIRED:
            return _go(f"{BANK_PATH}/{intent.action_token}")
        return _page(PAYMENT, "Pay for your order", intent, PAY, waiting=State.OPEN)

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """A second submission changes nothing and continues like the first one."""
        card = str((await request.post()).get("card"))
        intent = self._order(request)
        if intent is None:
            return _page(PAYMENT, "", None, "", waiting=State.OPEN)
        if card not in CARDS:
            return _page(PAYMENT, "Please choose a card", intent, PAY, waiting=State.OPEN, status=400)
        call = Call("payu", "confirm", request.path, intent.id, intent.booking_id)
        if intent.state is State.OPEN:
            fault = self._faults.take(call, IN_EXECUTION)
            scripted = fault if fault and fault.kind == "decline" else None
            with self._store.transaction():
                self._orders.pay(intent, card, scripted)
        self._log.add(call, 303)
        if intent.state is State.ACTION_REQUIRED:
            return _go(f"{BANK_PATH}/{intent.action_token}")
        return _back(intent)

    async def show_challenge(self, request: web.Request) -> web.StreamResponse:
        """The bank's page, where the buyer approves or refuses."""
        intent = self._challenged(request)
        return _page(BANK, "Approve this payment?", intent, ANSWER, waiting=State.ACTION_REQUIRED)

    async def answer_challenge(self, request: web.Request) -> web.StreamResponse:
        """A second submission changes nothing and redirects like the first one."""
        outcome = str((await request.post()).get("outcome"))
        intent = self._challenged(request)
        waiting = State.ACTION_REQUIRED
        if intent is None:
            return _page(BANK, "", None, "", waiting=waiting)
        if outcome not in OUTCOMES:
            return _page(BANK, "Please choose approve or refuse", intent, ANSWER, waiting=waiting, status=400)
        if intent.state is waiting:
            with self._store.transaction():
                self._orders.authenticated(intent, OUTCOMES[outcome])
        return _back(intent)

    def _order(self, request: web.Request) -> Intent | None:
        with self._store.transaction():
            intent = self._orders.find(request.query.get("orderId", ""))
        token = request.query.get("token", "")
        known = intent is not None and hmac.compare_digest(intent.details["page_token"], token)
        return intent if known else None

    def _challenged(self, request: web.Request) -> Intent | None:
        with self._store.transaction():
            return self._orders.find_challenged(request.match_info["token"])


def _go(url: str) -> web.Response:
    return web.Response(status=303, headers=HEADERS | {"Location": url})


def _back(intent: Intent) -> web.Response:
    url = _return_url(intent)
    if url is None:
        return _page(PAYMENT, "Thank you, you can close this page", intent, "", waiting=intent.state)
    return _go(url)


def _return_url(intent: Intent) -> str | None:
    url: str | None = intent.details.get("continueUrl")
    if url is None or intent.state is not State.VOIDED:
        return url
    parts = urlsplit(url)
    return parts._replace(query=f"{parts.query}&{FAILED}" if parts.query else FAILED).geturl()


def _page(
    step: str, title: str, intent: Intent | None, form: str, *, waiting: State, status: int = 200
) -> web.Response:
    """The page with its form while the order is `waiting`; afterwards only with the return link."""
    if intent is None:
        return _html(step, "This link is not valid any more", "", "", 404)
    url = _return_url(intent)
    if intent.state is waiting:
        leave = f'<p><a href="{escape(url)}">Back to the shop without paying</a></p>' if url else ""
        return _html(step, title, _describe(intent), form + leave, status)
    leave = f'<p><a href="{escape(url)}">Back to the shop</a></p>' if url else ""
    return _html(step, "There is nothing left to pay here", _describe(intent), leave, 200)


def _describe(intent: Intent) -> str:
    """An order's amount as shown to the buyer; all of PayU's currencies have two decimals."""
    what = intent.details.get("visibleDescription") or intent.details["description"]
    return f"{intent.amount / 100:,.2f} {intent.currency}: {what}. Order {intent.id}"


def _html(step: str, title: str, about: str, body: str, status: int) -> web.Response:
    text = PAGE.substitute(step=step, title=escape(title), about=escape(about), body=body)
    return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)
