"""The life cycle of a payment intent, for all provider APIs: its transitions and the money that each moves."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sandbox.ids import Ids
from sandbox.ledger import Ledger, Movement
from sandbox.records import Attempt, Refund, read_attempt
from sandbox.refunds import RefundBook
from sandbox.store import Row, Store

HOLD_SECONDS = 7 * 24 * 3600
"""Seconds that a card hold lasts (docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""


Refusal = dict[str, str]


class State(StrEnum):
    """The state of an intent; each provider API renders it in its own words."""

    OPEN = "open"
    ACTION_REQUIRED = "action_required"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"


UNDECIDED = frozenset({State.OPEN, State.ACTION_REQUIRED})
VOIDABLE = frozenset({State.OPEN, State.ACTION_REQUIRED, State.AUTHORIZED})
"""Stripe can cancel a processing intent in rare cases only; the sandbox never can."""


class WrongState(Exception):
    """The intent's state does not allow the operation; nothing changed."""

    def __init__(self, intent: Intent, operation: str) -> None:
        super().__init__(f"{operation} of {intent.id} in state {intent.state}")
        self.intent = intent
        self.operation = operation


class AmountExceeded(Exception):
    """The requested amount exceeds the remaining one; nothing changed."""

    def __init__(self, intent: Intent, asked: int, left: int) -> None:
        super().__init__(f"{asked} of {left} left on {intent.id}")
        self.intent = intent
        self.asked = asked
        self.left = left


@dataclass
class Intent:
    """One payment; amounts are integers in the smallest unit of `currency`.

    Attributes:
        authorized: What was ever reserved: nothing or the whole amount.
        released: What of the reservation went back to the cardholder without being taken.
        capture_before: Unix time at which the hold lapses, while there is one.
        attempt_id: The latest attempt with a payment method.
        details: Data for the intent's provider API only.
    """

    id: str
    face: str
    amount: int
    currency: str
    manual_capture: bool
    booking_id: str | None = None
    created: int = 0
    state: State = State.OPEN
    authorized: int = 0
    captured: int = 0
    released: int = 0
    refunded: int = 0
    payment_method: str | None = None
    capture_before: int | None = None
    attempt_id: str | None = None
    action_token: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    seq: int = 0

    @property
    def held(self) -> int:
        """Minor units that are reserved now."""
        return self.authorized - self.captured - self.released


CHANGING = (
    "state",
    "authorized",
    "captured",
    "released",
    "refunded",
    "payment_method",
    "capture_before",
    "attempt_id",
    "action_token",
    "details",
)
UPDATE = f"UPDATE intents SET {', '.join(f'{column} = ?' for column in CHANGING)} WHERE id = ?"


def read_intent(row: Row) -> Intent:
    """The intent that a row of the store holds."""
    values = dict(row)
    values |= {name: json.loads(values[name]) for name in ("metadata", "details")}
    values |= {"state": State(values["state"]), "manual_capture": bool(values["manual_capture"])}
    return Intent(**values)


def _columns(intent: Intent) -> dict[str, Any]:
    return vars(intent) | {"metadata": json.dumps(intent.metadata), "details": json.dumps(intent.details)}


def _now() -> int:
    return int(time.time())


class Intents:
    """The intents of one provider API. Call every method that changes one inside a transaction of the store.

    Attributes:
        refusal: The failure of an issuer's refusal without a more specific reason.
    """

    def __init__(self, store: Store, ledger: Ledger, face: str, ids: Ids, refusal: Refusal) -> None:
        # Called for each change, in its transaction.
        self.announce: Callable[[Intent], None] = lambda intent: None
        self.announce_refund: Callable[[Intent, Refund], None] = lambda intent, refund: None
        self._store = store
        self._ledger = ledger
        self._face = face
        self._ids = ids
        self._refunds = RefundBook(store, ids.refund)
        self.refusal = refusal

    def create(self, *, amount: int, currency: str, manual_capture: bool, **given: Any) -> Intent:
        """Open an intent; no money moves."""
        intent = Intent(self._ids.intent(), self._face, amount, currency, manual_capture, created=_now(), **given)
        intent.seq = self._store.insert("intents", **_columns(intent) | {"seq": None})
        return intent

    def find(self, intent_id: str) -> Intent | None:
        """The current intent; an expired hold is released first."""
        return self._current(self._store.one("SELECT * FROM intents WHERE id = ? AND face = ?", intent_id, self._face))

    def find_by_action(self, token: str) -> Intent | None:
        """The intent whose latest challenge has this `token`."""
        sql = "SELECT * FROM intents WHERE action_token = ? AND face = ?"
        return self._current(self._store.one(sql, token, self._face))

    def booking_of(self, intent_id: str) -> str | None:
        """The booking of an intent; None if it names none, or is unknown."""
        row = self._store.one("SELECT booking_id FROM intents WHERE id = ?", intent_id)
        return row["booking_id"] if row else None

    def choose(self, intent: Intent, payment_method: str) -> None:
        """Store a payment method for a later confirmation."""
        intent.payment_method = payment_method
        self._save(intent)

    def authorize(self, intent: Intent, payment_method: str) -> None:
        """Reserve the whole amount and, unless capture is manual, capture it.

        Raises:
            WrongState: The intent is already decided.
        """
        self._require(intent, UNDECIDED, "confirm")
        self._attempt(intent, payment_method, "succeeded")
        self._reserve(intent, payment_method)

    def decline(self, intent: Intent, payment_method: str, failure: dict[str, str]) -> None:
        """Record a refused attempt; the intent is open again for another payment method.

        Raises:
            WrongState: The intent is already decided.
        """
        self._require(intent, UNDECIDED, "confirm")
        self._attempt(intent, payment_method, "failed", failure)
        self._reopen(intent)

    def challenge(self, intent: Intent, payment_method: str, return_url: str | None, pages: str | None = None) -> None:
        """Ask the buyer to authenticate (3-D Secure), at a page of its own under `pages`.

        Raises:
            WrongState: The intent is already decided.
        """
        self._require(intent, UNDECIDED, "confirm")
        intent.payment_method = payment_method
        intent.action_token = secrets.token_urlsafe(24)
        intent.details["return_url"] = return_url
        if pages:
            intent.details["action_url"] = f"{pages}/{intent.action_token}"
        self._move(intent, State.ACTION_REQUIRED)

    def process(self, intent: Intent, payment_method: str) -> None:
        """Postpone the decision to `settle`.

        Raises:
            WrongState: The intent is already decided.
        """
        self._require(intent, UNDECIDED, "confirm")
        self._attempt(intent, payment_method, "pending")
        intent.payment_method = payment_method
        self._move(intent, State.PROCESSING)

    def settle(self, intent: Intent, failure: dict[str, str] | None) -> None:
        """Decide a processing intent: approve it, or refuse it for `failure`.

        Raises:
            WrongState: The intent is not processing.
        """
        self._require(intent, frozenset({State.PROCESSING}), "settle")
        self._conclude(intent.attempt_id, failure)
        if failure:
            self._reopen(intent)
        else:
            self._reserve(intent, intent.payment_method)

    def capture(self, intent: Intent, amount: int | None = None) -> None:
        """Capture `amount` (all by default) of the hold and release the rest.

        Raises:
            WrongState: There is no hold.
            AmountExceeded: The hold is smaller.
        """
        self._require(intent, frozenset({State.AUTHORIZED}), "capture")
        taken = intent.held if amount is None else amount
        if taken > intent.held:
            raise AmountExceeded(intent, taken, intent.held)
        rest = intent.held - taken
        intent.captured, intent.released, intent.capture_before = taken, rest, None
        self._move(intent, State.CAPTURED)
        self._post(intent, Movement.CAPTURE, taken)
        self._post(intent, Movement.RELEASE, rest)

    def void(self, intent: Intent, movement: Movement = Movement.VOID) -> None:
        """Close the intent and release its hold.

        Raises:
            WrongState: The money was taken, or the intent is already void.
        """
        self._require(intent, VOIDABLE, "cancel")
        held = intent.held
        intent.released, intent.capture_before = intent.released + held, None
        intent.details["canceled_at"] = _now()
        self._move(intent, State.VOIDED)
        self._post(intent, movement, held)

    def expire(self, intent: Intent) -> None:
        """Expire a hold, as the issuer does.

        Raises:
            WrongState: There is no hold.
        """
        self._require(intent, frozenset({State.AUTHORIZED}), "expire")
        intent.details["cancellation_reason"] = "automatic"
        self.void(intent, Movement.EXPIRE)

    def refund(
        self,
        intent: Intent,
        amount: int | None,
        reason: str | None,
        metadata: dict[str, str],
        status: str = "succeeded",
    ) -> Refund:
        """Refund `amount` (by default the rest) of the captured money; `pending` waits for `settle_refund`.

        Raises:
            WrongState: Nothing was taken.
            AmountExceeded: Less is left to give back.
        """
        self._require(intent, frozenset({State.CAPTURED}), "refund")
        left = intent.captured - intent.refunded
        given = left if amount is None else amount
        if given > left or left == 0:
            raise AmountExceeded(intent, given, left)
        refund = self._refunds.add(intent.id, intent.attempt_id or "", given, reason, metadata, status)
        if status != "failed":  # a pending refund counts as refunded, as at Stripe
            intent.refunded += given
            self._save(intent)
            self._post(intent, Movement.REFUND, given, refund.id)
        self.announce_refund(intent, refund)
        return refund

    def settle_refund(self, intent: Intent, refund: Refund, status: str) -> Refund:
        """Decide a refund: `succeeded` if it is pending, or `failed`, which returns the money to the merchant.

        A succeeded refund may still fail, as at Stripe (docs.stripe.com/refunds#failed-refunds).

        Raises:
            WrongState: It is decided.
        """
        if refund.status != "pending" and (refund.status, status) != ("succeeded", "failed"):
            raise WrongState(intent, f"settling {refund.status} refund")
        if status == "failed":
            intent.refunded -= refund.amount
            self._save(intent)
            self._post(intent, Movement.REFUND_FAILURE, refund.amount, refund.id)
        decided = self._refunds.decide(refund, status)
        self.announce_refund(intent, decided)
        return decided

    def attempt(self, attempt_id: str) -> Attempt | None:
        """One payment attempt; None if there is none with this id."""
        row = self._store.one("SELECT * FROM attempts WHERE id = ?", attempt_id)
        return read_attempt(row) if row else None

    def attempts(self, intent_id: str) -> list[Attempt]:
        """All attempts of an intent, newest first."""
        rows = self._store.all("SELECT * FROM attempts WHERE intent_id = ? ORDER BY seq DESC", intent_id)
        return [read_attempt(row) for row in rows]

    def find_refund(self, refund_id: str) -> Refund | None:
        """One refund; None if there is none with this id."""
        return self._refunds.find(refund_id)

    def refunds(self, intent_id: str) -> list[Refund]:
        """All refunds of an intent, newest first."""
        return self._refunds.of_intent(intent_id)

    def expire_due(self) -> None:
        """Release every expired hold."""
        sql = "SELECT * FROM intents WHERE capture_before <= ? AND face = ?"
        for row in self._store.all(sql, _now(), self._face):
            self.expire(read_intent(row))

    def _current(self, row: Row | None) -> Intent | None:
        if row is None:
            return None
        intent = read_intent(row)
        if intent.capture_before is not None and intent.capture_before <= _now():
            self.expire(intent)
        return intent

    def _require(self, intent: Intent, allowed: frozenset[State], operation: str) -> None:
        if intent.state not in allowed:
            raise WrongState(intent, operation)

    def _reserve(self, intent: Intent, payment_method: str | None) -> None:
        intent.payment_method = payment_method
        intent.authorized = intent.amount
        intent.capture_before = _now() + HOLD_SECONDS
        self._move(intent, State.AUTHORIZED)
        self._post(intent, Movement.HOLD, intent.amount)
        if not intent.manual_capture:
            self.capture(intent)

    def _reopen(self, intent: Intent) -> None:
        intent.payment_method = None
        self._move(intent, State.OPEN)

    def _move(self, intent: Intent, state: State) -> None:
        """The only place where a state changes."""
        intent.state = state
        self._save(intent)
        self.announce(intent)

    def _save(self, intent: Intent) -> None:
        columns = _columns(intent)
        self._store.run(UPDATE, *(columns[name] for name in CHANGING), intent.id)

    def _post(self, intent: Intent, movement: Movement, amount: int, refund_id: str | None = None) -> None:
        if amount:
            self._ledger.post(
                movement,
                amount,
                intent_id=intent.id,
                booking_id=intent.booking_id,
                currency=intent.currency,
                object_id=refund_id or intent.attempt_id,
            )

    def _attempt(self, intent: Intent, payment_method: str, status: str, failure: dict[str, str] | None = None) -> None:
        intent.attempt_id = self._ids.attempt()
        attempt = Attempt(intent.attempt_id, intent.id, _now(), status, payment_method, failure)
        self._store.insert("attempts", **vars(attempt) | {"failure": json.dumps(failure) if failure else None})

    def _conclude(self, attempt_id: str | None, failure: dict[str, str] | None) -> None:
        status, reason = ("failed", json.dumps(failure)) if failure else ("succeeded", None)
        self._store.run("UPDATE attempts SET status = ?, failure = ? WHERE id = ?", status, reason, attempt_id)
