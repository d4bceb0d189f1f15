"""Executes iyzico's calls; none is idempotent, as at iyzico."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.faults import Fault
from sandbox.ids import numeric
from sandbox.intents import AmountExceeded, Intent, Intents, State, WrongState, read_intent
from sandbox.iyzico import answers, errors, requests
from sandbox.iyzico.amounts import currency, minor_units, price
from sandbox.iyzico.answers import CANCELLED
from sandbox.iyzico.cards import card_of, failure
from sandbox.iyzico.days import Days
from sandbox.iyzico.requests import EVERY_CALL
from sandbox.iyzico.signatures import sign
from sandbox.ledger import Ledger
from sandbox.store import Store

Json = dict[str, Any]

FORM_SECONDS = 1800
"""Seconds that a form can be paid (`tokenExpireTime` of the initialize answer)."""
OF_A_PAYMENT = ("paymentId", "currency", "basketId", "conversationId", "paidPrice", "price")
OF_A_FORM = ("paymentStatus", *OF_A_PAYMENT, "token")
OF_A_REFUND = ("paymentId", "price", "currency", "conversationId")


@dataclass
class Context:
    """The caller and its address; `intent` becomes known while the call is served.

    Attributes:
        page: Address of the payment page, without its query.
    """

    secret: str
    page: str
    fault: Fault | None = None
    intent: Intent | None = None


@dataclass(frozen=True)
class Endpoint:
    """One call of iyzico's API and its handler."""

    method: str
    path: str
    operation: str
    run: Callable[[Json, Context], Json]


class Operations:
    """All calls; run each inside a transaction of the store."""

    def __init__(self, store: Store, ledger: Ledger, intents: Intents) -> None:
        self._store = store
        self._intents = intents
        self._days = Days(ledger, intents)

    def endpoints(self) -> list[Endpoint]:
        """The calls with iyzico's paths, and the name by which faults and the log know each."""
        form = "/payment/iyzipos/checkoutform"
        return [
            Endpoint("POST", f"{form}/initialize/preauth/ecom", "create", self.initialize),
            Endpoint("POST", f"{form}/auth/ecom/detail", "retrieve", self.retrieve_form),
            Endpoint("POST", "/payment/detail", "retrieve", self.detail),
            Endpoint("GET", "/v2/reporting/payment/details", "retrieve", self.report),
            Endpoint("GET", "/v2/reporting/payment/transactions", "list", self.day),
            Endpoint("POST", "/payment/postauth", "capture", self.postauth),
            Endpoint("POST", "/payment/cancel", "cancel", self.cancel),
            Endpoint("POST", "/payment/refund", "refund", self.refund_transaction),
            Endpoint("POST", "/v2/payment/refund", "refund", self.refund_payment),
        ]

    def initialize(self, given: Json, context: Context) -> Json:
        """Open a form: the buyer pays on the page that the answer names. No money moves yet."""
        form = requests.form(given)
        details = {
            "price": form.price,
            "basket_id": form.basket_id,
            "conversation_id": given.get("conversationId"),
            "callback_url": form.callback_url,
            "must_authenticate": form.must_authenticate,
            "transaction_id": numeric(),
            "secret": context.secret,
            "buyer": given["buyer"],
        }
        intent = context.intent = self._intents.create(
            amount=form.paid_price,
            currency=form.currency,
            manual_capture=True,
            booking_id=form.basket_id,
            details=details,
        )
        body = {
            "token": intent.id,
            "checkoutFormContent": "",
            "tokenExpireTime": FORM_SECONDS,
            "paymentPageUrl": f"{context.page}?token={intent.id}&lang=en",
        }
        return _signed(body | _echo(given), ("conversationId", "token"), context)

    def retrieve_form(self, given: Json, context: Context) -> Json:
        """What became of a form; code 5087 until a payment was tried on it."""
        requests.fields(given, "request", frozenset({"token"}), EVERY_CALL)
        intent = context.intent = self._intents.find(str(given["token"]))
        if intent is None:
            raise errors.not_found()
        status = answers.payment_status(intent)
        if status is None:
            raise errors.ApiError("5087", "No payment was made on this form", token=intent.id)
        known = {"token": intent.id, "callbackUrl": intent.details["callback_url"], "paymentStatus": status}
        if status == "SUCCESS":
            return _signed(answers.payment(intent) | known | _echo(given), OF_A_FORM, context)
        if status == "INIT_THREEDS":
            return known | _echo(given)
        attempt = self._intents.attempt(intent.attempt_id or "")
        assert attempt is not None
        failed = {"status": "failure", "paymentId": attempt.id}
        return known | failed | answers.refused(attempt.failure or {}) | _echo(given)

    def detail(self, given: Json, context: Context) -> Json:
        """A successful payment by its id or conversation; code 5087 for any other."""
        requests.fields(given, "request", frozenset(), EVERY_CALL | {"paymentId", "paymentConversationId", "ip"})
        intent = self._asked_for(given, context)
        if answers.payment_status(intent) != "SUCCESS":
            raise errors.not_found()
        return _signed(answers.payment(intent) | _echo(given), OF_A_PAYMENT, context)

    def report(self, given: Json, context: Context) -> Json:
        """All payment attempts with their refunds; an empty list if nothing is found."""
        requests.fields(given, "request", frozenset(), EVERY_CALL | {"paymentId", "paymentConversationId"})
        try:
            intent = self._asked_for(given, context)
        except errors.ApiError as unknown:
            if unknown.code != "5087":
                raise
            return {"payments": []} | _echo(given)
        attempts = self._intents.attempts(intent.id)
        wanted = [each for each in attempts if given.get("paymentId") in (None, each.id)]
        refunds = self._intents.refunds(intent.id)
        return {"payments": [answers.report(intent, each, refunds) for each in wanted]} | _echo(given)

    def day(self, given: Json, context: Context) -> Json:
        """A page of one day's transactions."""
        requests.fields(given, "request", frozenset({"transactionDate"}), EVERY_CALL | {"page"})
        return self._days.page(given) | _echo(given)

    def postauth(self, given: Json, context: Context) -> Json:
        """The default currency is TRY: docs.iyzico.com, page "Create PostAuth Payment"."""
        requests.fields(given, "request", frozenset({"paymentId", "ip"}), EVERY_CALL | {"paidPrice", "currency"})
        intent = self._successful(given["paymentId"], context)
        payment_id = str(intent.attempt_id)
        if currency(given.get("currency", "TRY")) != intent.currency:
            raise errors.invalid("currency is not the payment's")
        amount = minor_units("paidPrice", given["paidPrice"]) if "paidPrice" in given else None
        if context.fault:
            raise errors.by_bank(failure(context.fault.code), payment_id)
        if card_of(intent).final:
            raise errors.by_bank(failure("INVALID_TRANSACTION"), payment_id)
        try:
            self._intents.capture(intent, amount)
        except WrongState:
            raise errors.not_for_postauth(payment_id) from None
        except AmountExceeded:
            raise errors.invalid("paidPrice is more than was authorized") from None
        return _signed(answers.payment(intent) | _echo(given), OF_A_PAYMENT, context)

    def cancel(self, given: Json, context: Context) -> Json:
        """Void a pre-authorization, or refund a capture on its own day."""
        requests.fields(given, "request", frozenset({"paymentId"}), EVERY_CALL | {"ip", "reason", "description"})
        intent = self._successful(given["paymentId"], context)
        payment_id = str(intent.attempt_id)
        if card_of(intent).final:
            raise errors.by_bank(failure("INVALID_TRANSACTION"), payment_id)
        if intent.state is State.AUTHORIZED:
            self._intents.void(intent)
        elif intent.state is State.CAPTURED and not intent.refunded and self._is_of_today(intent):
            self._intents.refund(intent, None, CANCELLED, {"conversation_id": str(given.get("conversationId"))})
        else:
            raise errors.already_started(payment_id)
        return _bank_s_answer(intent, intent.amount) | _echo(given)

    def refund_transaction(self, given: Json, context: Context) -> Json:
        """Refund one basket item; a payment has exactly one in the sandbox."""
        optional = EVERY_CALL | {"currency", "ip", "reason", "description"}
        requests.fields(given, "request", frozenset({"paymentTransactionId", "price"}), optional)
        wanted = str(given["paymentTransactionId"])
        row = self._store.one(
            "SELECT id FROM intents WHERE face = 'iyzico' AND json_extract(details, '$.transaction_id') = ?", wanted
        )
        intent = self._intents.find(row["id"]) if row else None
        if intent is None or answers.payment_status(intent) != "SUCCESS":
            raise errors.not_found()
        context.intent = intent
        return self._refund(intent, given, context) | {"paymentTransactionId": wanted}

    def refund_payment(self, given: Json, context: Context) -> Json:
        """Refund part or all of a payment."""
        optional = EVERY_CALL | {"currency", "ip", "reason", "description"}
        requests.fields(given, "request", frozenset({"paymentId", "price"}), optional)
        return self._refund(self._successful(given["paymentId"], context), given, context)

    def _refund(self, intent: Intent, given: Json, context: Context) -> Json:
        payment_id, amount = str(intent.attempt_id), minor_units("price", given["price"])
        if "currency" in given and currency(given["currency"]) != intent.currency:
            raise errors.invalid("currency is not the payment's")
        is_pending = context.fault is not None and context.fault.kind == "processing"
        if card_of(intent).final or (context.fault and not is_pending):
            code = context.fault.code if context.fault else "INVALID_TRANSACTION"
            raise errors.by_bank(failure(code), payment_id)
        about = {"conversation_id": str(given.get("conversationId"))} | ({"left_pending": "1"} if is_pending else {})
        try:
            self._intents.refund(intent, amount, None, about, "pending" if is_pending else "succeeded")
        except (WrongState, AmountExceeded) as refused:
            if isinstance(refused, AmountExceeded) and refused.left:
                raise errors.invalid("price is more than is left to refund") from None
            raise errors.already_started(payment_id) from None
        body = _bank_s_answer(intent, amount) | {"retryable": False} | _echo(given)
        return _signed(body, OF_A_REFUND, context)

    def _asked_for(self, given: Json, context: Context) -> Intent:
        if given.get("paymentId"):
            return self._payment(given["paymentId"], context)
        if not given.get("paymentConversationId"):
            raise errors.invalid("paymentId or paymentConversationId is mandatory")
        sql = "SELECT * FROM intents WHERE face = 'iyzico' AND json_extract(details, '$.conversation_id') = ?"
        row = self._store.one(f"{sql} ORDER BY seq DESC", given["paymentConversationId"])
        intent = self._intents.find(read_intent(row).id) if row else None
        if intent is None or intent.attempt_id is None:
            raise errors.not_found()
        context.intent = intent
        return intent

    def _payment(self, payment_id: Any, context: Context) -> Intent:
        attempt = self._intents.attempt(str(payment_id))
        intent = self._intents.find(attempt.intent_id) if attempt else None
        if attempt is None or intent is None:
            raise errors.not_found()
        context.intent = intent
        return intent

    def _successful(self, payment_id: Any, context: Context) -> Intent:
        intent = self._payment(payment_id, context)
        if intent.attempt_id != str(payment_id) or answers.payment_status(intent) != "SUCCESS":
            raise errors.not_for_postauth(str(payment_id))
        return intent

    def _is_of_today(self, intent: Intent) -> bool:
        attempt = self._intents.attempt(intent.attempt_id or "")
        paid = datetime.fromtimestamp(attempt.created, UTC) if attempt else None
        return paid is not None and paid.date() == datetime.fromtimestamp(time.time(), UTC).date()


def _bank_s_answer(intent: Intent, amount: int) -> Json:
    return {
        "paymentId": intent.attempt_id,
        "price": price(amount),
        "currency": intent.currency,
        "authCode": "100000",
        "hostReference": "mock00007iyzihostrfn",
    }


def _echo(given: Json) -> Json:
    return {"conversationId": given["conversationId"]} if given.get("conversationId") else {}


def _signed(body: Json, names: tuple[str, ...], context: Context) -> Json:
    return body | {"signature": sign(context.secret, [body.get(name) for name in names])}
