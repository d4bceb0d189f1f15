"""Executes PayU's authenticated and valid calls about orders, each inside a transaction."""

from __future__ import annotations

import secrets
import string
import time
from datetime import UTC, datetime
from typing import Any

from sandbox.faults import Fault
from sandbox.intents import AmountExceeded, Intent, Intents, State, WrongState
from sandbox.payu import errors
from sandbox.payu.cards import AUTHENTICATION_FAILURE, CARDS, Failure, failure
from sandbox.payu.errors import Json
from sandbox.payu.params import Reader, address, currency, fields, several, text, truth, url, whole_number
from sandbox.payu.points import Point
from sandbox.records import Attempt
from sandbox.store import Store

STATUSES = {
    State.OPEN: "NEW",
    State.ACTION_REQUIRED: "PENDING",
    State.PROCESSING: "PENDING",
    State.AUTHORIZED: "WAITING_FOR_CONFIRMATION",
    State.CAPTURED: "COMPLETED",
    State.VOIDED: "CANCELED",
}
UNPAID = frozenset({State.OPEN, State.ACTION_REQUIRED})
VALIDITY_SECONDS = 86400
"""Default seconds that an order may be paid (PayU's API reference, validityTime)."""

REQUIRED = ("customerIp", "merchantPosId", "description", "currencyCode", "totalAmount", "products")
ORDER: dict[str, Reader] = {
    "customerIp": address,
    "merchantPosId": text(20),
    "description": text(),
    "visibleDescription": text(80),
    "additionalDescription": text(1024),
    "statementDescription": text(22),
    "currencyCode": currency,
    "totalAmount": whole_number,
    "extOrderId": text(1024),
    "notifyUrl": url,
    "continueUrl": url,
    "validityTime": whole_number,
    "products": several(
        fields(
            ("name", "unitPrice", "quantity"), name=text(255), unitPrice=whole_number, quantity=whole_number,
            virtual=truth,
        )
    ),
    "buyer": fields(
        email=text(), phone=text(), firstName=text(100), lastName=text(155), language=text(2), extCustomerId=text()
    ),
}  # fmt: skip
CAPTURE: dict[str, Reader] = {"amount": whole_number, "currencyCode": currency}
STATUS: dict[str, Reader] = {"orderId": text(), "orderStatus": text()}
KEPT = ("description", "visibleDescription", "customerIp", "notifyUrl", "continueUrl", "products", "buyer")

# The booking is known by the first part of our extOrderId, so that faults and the audit find its orders.
SCHEMA = """
CREATE TABLE IF NOT EXISTS payu_orders (
    pos_id TEXT NOT NULL,
    ext_order_id TEXT NOT NULL,
    order_id TEXT NOT NULL REFERENCES intents (id),
    PRIMARY KEY (pos_id, ext_order_id)
) WITHOUT ROWID
"""


class Orders:
    """The orders of all points of sale."""

    def __init__(self, store: Store, intents: Intents) -> None:
        self._store = store
        self._intents = intents
        store.run(SCHEMA)

    def create(self, values: Json, point: Point, page: str) -> tuple[Intent, Json]:
        """Open an order; returns the address of its payment page.

        Raises:
            ApiError: Of another point of sale, nothing to pay, or `ERROR_ORDER_NOT_UNIQUE`.
        """
        if values["merchantPosId"] != point.id:
            raise errors.foreign_point()
        if values["totalAmount"] < 1:
            raise errors.invalid("totalAmount", "more than 0")
        self._check_unique(point, values)
        intent = self._open(values, point)
        redirect = f"{page}?orderId={intent.id}&token={intent.details['page_token']}"
        return intent, {"status": {"statusCode": "SUCCESS"}, "redirectUri": redirect} | _ids(intent)

    def retrieve(self, intent: Intent) -> Json:
        """The order in its current state."""
        return {"orders": [order(intent)], "status": {"statusCode": "SUCCESS"}, "properties": []}

    def transactions(self, intent: Intent) -> Json:
        """Its payment attempts, the latest first."""
        return {"transactions": [_transaction(each) for each in reversed(self._intents.attempts(intent.id))]}

    def capture(self, intent: Intent, amount: int | None, fault: Fault | None) -> Json:
        """Raises: ApiError: No amount or a smaller one waits for confirmation, or the acquirer refuses."""
        if fault and intent.state is State.AUTHORIZED:
            raise errors.refused("capture")
        try:
            self._intents.capture(intent, amount)
        except WrongState:
            raise errors.wrong_status("capture", STATUSES[intent.state]) from None
        except AmountExceeded:
            raise errors.invalid("amount", "more than was authorized") from None
        return {"status": {"statusCode": "SUCCESS", "statusDesc": "Status was updated"}}

    def cancel(self, intent: Intent) -> Json:
        """Raises: ApiError: The order has ended."""
        try:
            self._intents.void(intent)
        except WrongState:
            raise errors.wrong_status("cancel", STATUSES[intent.state]) from None
        return {"status": {"statusCode": "SUCCESS"}} | _ids(intent)

    def pay(self, intent: Intent, card: str, fault: Fault | None) -> None:
        """Charge the card that the buyer chose; a refusal ends the order.

        Raises:
            WrongState: The order is already decided.
        """
        chosen = CARDS[card]
        if fault:
            self._refuse(intent, card, failure(fault.code))
        elif chosen.challenge:
            self._intents.challenge(intent, card, None)
        elif chosen.failure:
            self._refuse(intent, card, chosen.failure)
        else:
            self._intents.authorize(intent, card)

    def authenticated(self, intent: Intent, approved: bool) -> None:
        """Apply the buyer's answer to the bank's challenge.

        Raises:
            WrongState: The order does not wait for that any more.
        """
        card = intent.payment_method or ""
        refusal = CARDS[card].failure if approved else AUTHENTICATION_FAILURE
        if refusal:
            self._refuse(intent, card, refusal)
        else:
            self._intents.authorize(intent, card)

    def find(self, order_id: str) -> Intent | None:
        """The current order; an unpaid order is first cancelled after its validity time."""
        return self._current(self._intents.find(order_id))

    def find_challenged(self, token: str) -> Intent | None:
        """The order behind a link to the bank's page; None if there is none."""
        return self._current(self._intents.find_by_action(token))

    def of_point(self, order_id: str, point: Point) -> Intent:
        """Raises: ApiError: This point of sale has no such order."""
        intent = self.find(order_id)
        if intent is None or intent.metadata["posId"] != point.id:
            raise errors.not_found()
        return intent

    def _current(self, intent: Intent | None) -> Intent | None:
        if intent and intent.state in UNPAID and intent.details["valid_until"] <= time.time():
            self._intents.void(intent)
        return intent

    def _refuse(self, intent: Intent, card: str, reason: Failure) -> None:
        self._intents.decline(intent, card, reason)
        self._intents.void(intent)

    def _check_unique(self, point: Point, values: Json) -> None:
        if "extOrderId" not in values:
            return
        sql = "SELECT order_id FROM payu_orders WHERE pos_id = ? AND ext_order_id = ?"
        known = self._store.one(sql, point.id, values["extOrderId"])
        if known:
            raise errors.not_unique(known["order_id"], values["extOrderId"])

    def _open(self, values: Json, point: Point) -> Intent:
        ext_order_id = values.get("extOrderId")
        validity = values.get("validityTime", VALIDITY_SECONDS)
        details = {name: values[name] for name in KEPT if name in values}
        details |= {
            "page_token": secrets.token_urlsafe(24),
            "validity": validity,
            "valid_until": time.time() + validity,
        }
        intent = self._intents.create(
            amount=values["totalAmount"],
            currency=values["currencyCode"],
            manual_capture=not point.auto_receive,
            booking_id=booking_of(ext_order_id),
            metadata={"posId": point.id} | ({"extOrderId": ext_order_id} if ext_order_id else {}),
            details=details,
        )
        if ext_order_id:
            self._store.insert("payu_orders", pos_id=point.id, ext_order_id=ext_order_id, order_id=intent.id)
        return intent


def new_order_id() -> str:
    """Generate an id in PayU's format, such as `WZHF5FFDRJ140731GUEST000P01`."""
    letters = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(10))
    return f"{letters}{datetime.now(UTC):%y%m%d}GUEST000P01"


def booking_of(ext_order_id: object) -> str | None:
    """The booking of an order, from the start of the merchant's order id."""
    return ext_order_id.partition(":")[0] if isinstance(ext_order_id, str) else None


def order(intent: Intent) -> Json:
    """An order as JSON for retrieval and notifications."""
    details = intent.details
    shown = {name: details[name] for name in ("notifyUrl", "customerIp", "description", "buyer") if name in details}
    paid = {"payMethod": {"amount": str(intent.amount), "type": "CARD_TOKEN"}} if intent.attempt_id else {}
    return _ids(intent) | shown | paid | {
        "orderCreateDate": moment(intent.created),
        "merchantPosId": intent.metadata["posId"],
        "validityTime": str(details["validity"]),
        "currencyCode": intent.currency,
        "totalAmount": str(intent.amount),
        "products": [_written(product) for product in details["products"]],
        "status": STATUSES[intent.state],
    }  # fmt: skip


def moment(at: float) -> str:
    """A time as PayU writes it: ISO 8601 in UTC with milliseconds. `at` is in seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _ids(intent: Intent) -> Json:
    known = {"orderId": intent.id}
    return known | ({"extOrderId": intent.metadata["extOrderId"]} if "extOrderId" in intent.metadata else {})


def _written(product: Json) -> Json:
    return {name: str(value) if isinstance(value, int) else value for name, value in product.items()}


def _transaction(attempt: Attempt) -> dict[str, Any]:
    code, words = (attempt.failure["code"], attempt.failure["message"]) if attempt.failure else ("000", "000 - OK")
    refused = {"resultCode": "AUT_ERROR_NO_AUTHORIZATION"} if attempt.failure else {}
    data = {"cardNumberMasked": "444433******1111", "cardResponseCode": code, "cardResponseCodeDesc": words}
    return {"payMethod": {"value": "c"}, "paymentFlow": "CARD", "card": {"cardData": data}} | refused
