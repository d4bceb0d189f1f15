"""iyzico's payment page: the buyer chooses a card, may pass 3-D Secure, and returns to the merchant."""

from __future__ import annotations

import asyncio
import time
from html import escape
from pathlib import Path
from string import Template

from aiohttp import web

from sandbox.calls import Call, CallLog
from sandbox.faults import IN_EXECUTION, Fault, Faults
from sandbox.intents import Intent, Intents, State
from sandbox.iyzico.amounts import written
from sandbox.iyzico.cards import CARDS, NOT_AUTHENTICATED, NOT_INITIALIZED, Card, card_of, failure
from sandbox.iyzico.operations import FORM_SECONDS
from sandbox.store import Store

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
SCRIPT = "sha256-NndXicV1CtJ74Oju5tl2OcCIrs+jntDnDzeAfhnMIEI="
"""The hash of the page's one script, which posts the return form."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src '{SCRIPT}'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}
UNPAID = frozenset({State.OPEN, State.ACTION_REQUIRED})


class PaymentPage:
    """The page of each form, by its token."""

    def __init__(self, store: Store, intents: Intents, faults: Faults, log: CallLog) -> None:
        self._store = store
        self._intents = intents
        self._faults = faults
        self._log = log

    def routes(self, path: str) -> list[web.RouteDef]:
        """The routes to add to the application."""
        return [web.get(path, self.show), web.post(path, self.submit)]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The page of a form; 404 for an unknown token."""
        with self._store.transaction():
            intent = self._intents.find(request.query.get("token", ""))
        return _unknown() if intent is None else self._shown(intent)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Accept a card, or the outcome of 3-D Secure; a late submission changes nothing."""
        given = {name: str(value) for name, value in (await request.post()).items()}
        with self._store.transaction():
            intent = self._intents.find(request.query.get("token", ""))
        if intent is None:
            return _unknown()
        call = Call("iyzico", "confirm", request.path, intent.id, intent.booking_id)
        fault = self._faults.take(call, IN_EXECUTION)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.delay_seconds)
        with self._store.transaction():
            intent = self._intents.find(intent.id) or intent
            goes_back = self._take(intent, given, fault)
        self._log.add(call, 200)
        return _back(intent) if goes_back else self._shown(intent)

    def _take(self, intent: Intent, given: dict[str, str], fault: Fault | None) -> bool:
        """Whether the buyer returns to the merchant; a refusal without 3-D Secure allows another attempt here."""
        if _is_expired(intent):
            return False
        if intent.state is State.ACTION_REQUIRED and given.get("outcome") in ("approve", "fail"):
            self._authenticated(intent, card_of(intent), given["outcome"] == "approve", fault)
            return True
        card = CARDS.get(given.get("card", ""))
        if intent.state is State.OPEN and card is not None:
            return self._charge(intent, card, fault, with_3ds="three_d_secure" in given)
        return intent.state not in UNPAID

    def _charge(self, intent: Intent, card: Card, fault: Fault | None, *, with_3ds: bool) -> bool:
        if not with_3ds and not intent.details["must_authenticate"]:
            self._decide(intent, card, fault)
            return intent.state is not State.OPEN
        if not card.initializes:
            self._intents.decline(intent, card.masked, NOT_INITIALIZED | {"md_status": "0"})
            return True
        self._intents.challenge(intent, card.masked, None)
        return False

    def _authenticated(self, intent: Intent, card: Card, approved: bool, fault: Fault | None) -> None:
        md_status = card.md_status if approved else 0
        if md_status != 1:
            self._intents.decline(intent, card.masked, NOT_AUTHENTICATED | {"md_status": str(md_status)})
            return
        intent.details["authenticated"] = True
        self._decide(intent, card, fault, after_3ds={"md_status": "1"})

    def _decide(self, intent: Intent, card: Card, fault: Fault | None, after_3ds: dict[str, str] | None = None) -> None:
        refusal = failure(fault.code) if fault and fault.kind == "decline" else card.failure
        if fault and fault.kind == "processing":
            self._intents.process(intent, card.masked)
        elif refusal:
            self._intents.decline(intent, card.masked, refusal | (after_3ds or {}))
        else:
            self._intents.authorize(intent, card.masked)

    def _shown(self, intent: Intent) -> web.Response:
        if intent.state not in UNPAID:
            return _back(intent)
        if _is_expired(intent):
            return _page("This form has expired", _about(intent), "", 410)
        if intent.state is State.ACTION_REQUIRED:
            return _page("Approve this payment?", _about(intent), CHALLENGE)
        return _page("Pay by card", _about(intent), _alert(self._last_refusal(intent)) + CARD_FORM)

    def _last_refusal(self, intent: Intent) -> str | None:
        attempt = self._intents.attempt(intent.attempt_id) if intent.attempt_id else None
        return attempt.failure["message"] if attempt and attempt.failure else None


def _is_expired(intent: Intent) -> bool:
    return intent.state in UNPAID and intent.created + FORM_SECONDS <= time.time()


CHALLENGE = (
    '<p>Your bank wants to know that it is you.</p><form method="post">'
    '<button name="outcome" value="approve">Approve payment</button>'
    '<button name="outcome" value="fail" class="quiet">Fail authentication</button></form>'
)
_OPTIONS = "".join(
    f'<option value="{card.number}">{card.number}: {escape(card.label)}</option>' for card in CARDS.values()
)
CARD_FORM = (
    f'<form method="post"><label for="card">Test card</label><select id="card" name="card">{_OPTIONS}</select>'
    '<label class="row"><input type="checkbox" name="three_d_secure" value="1"> Pay with 3-D Secure</label>'
    "<button>Pay</button></form>"
)


def _about(intent: Intent) -> str:
    return f"{written(intent.amount, intent.currency)} to Sandbox Shop"


def _alert(message: str | None) -> str:
    return f'<p role="alert" class="alert">{escape(message)}. Please try another card.</p>' if message else ""


def _back(intent: Intent) -> web.Response:
    """Post the token to the merchant's `callbackUrl`, as iyzico does; the button works without scripts."""
    form = (
        f'<form method="post" id="back" action="{escape(intent.details["callback_url"])}">'
        f'<input type="hidden" name="token" value="{escape(intent.id)}"><button>Back to the shop</button></form>'
    )
    return _page("Taking you back to the shop", _about(intent), form)


def _unknown() -> web.Response:
    return _page("This link is not valid", "", "", 404)


def _page(title: str, about: str, body: str, status: int = 200) -> web.Response:
    text = PAGE.substitute(title=escape(title), about=escape(about), body=body)
    return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)
