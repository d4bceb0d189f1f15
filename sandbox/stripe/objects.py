"""Renders intents, attempts and refunds as Stripe's PaymentIntent, Charge and Refund objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sandbox.intents import HOLD_SECONDS, Intent, Intents, State
from sandbox.records import Attempt, Refund
from sandbox.stripe.cards import CARDS

Json = dict[str, Any]

STATUSES = {
    State.ACTION_REQUIRED: "requires_action",
    State.PROCESSING: "processing",
    State.AUTHORIZED: "requires_capture",
    State.CAPTURED: "succeeded",
    State.VOIDED: "canceled",
}
ATTEMPT_STATUSES = {"succeeded": "succeeded", "failed": "failed", "pending": "pending"}


def status_of(intent: Intent) -> str:
    """Stripe splits the open state in two: with and without a payment method to confirm."""
    if intent.state is State.OPEN:
        return "requires_confirmation" if intent.payment_method else "requires_payment_method"
    return STATUSES[intent.state]


def client_secret(intent: Intent) -> str:
    """The secret with which a buyer's browser may act on the intent."""
    return f"{intent.id}_{intent.details['client_secret']}"


class Renderer:
    """Stripe's JSON, with the objects named in `expand` in place of their ids."""

    def __init__(self, intents: Intents) -> None:
        self._intents = intents

    def payment_intent(self, intent: Intent, expand: Collection[str] = ()) -> Json:
        """The PaymentIntent, with amounts in minor units."""
        details = intent.details
        attempt = self._intents.attempt(intent.attempt_id) if intent.attempt_id else None
        return {
            "id": intent.id,
            "object": "payment_intent",
            "allowed_payment_method_types": details.get("payment_method_types"),
            "amount": intent.amount,
            "amount_capturable": intent.held,
            "amount_details": {"tip": {}},
            "amount_received": intent.captured,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": details.get("automatic_payment_methods"),
            "canceled_at": details.get("canceled_at"),
            "cancellation_reason": details.get("cancellation_reason"),
            "capture_method": details.get("capture_method"),
            "client_secret": client_secret(intent),
            "confirmation_method": "automatic",
            "created": intent.created,
            "currency": intent.currency,
            "customer": None,
            "description": details.get("description"),
            "last_payment_error": self._last_error(intent, attempt),
            "latest_charge": self._latest_charge(intent, attempt, expand),
            "livemode": False,
            "metadata": intent.metadata,
            "next_action": _next_action(intent),
            "on_behalf_of": None,
            "payment_method": intent.payment_method,
            "payment_method_options": {},
            "payment_method_types": details.get("payment_method_types", ["card"]),
            "processing": None,
            "receipt_email": details.get("receipt_email"),
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": details.get("statement_descriptor_suffix"),
            "status": status_of(intent),
            "transfer_data": None,
            "transfer_group": None,
        }

    def charge(self, intent: Intent, attempt: Attempt, expand: Collection[str] = ()) -> Json:
        """A charge. Released money that was never captured counts as refunded, as at Stripe."""
        moved = attempt.id == intent.attempt_id and attempt.status == "succeeded"
        failure = attempt.failure or {}
        returned = intent.refunded + intent.released if moved else 0
        return {
            "id": attempt.id,
            "object": "charge",
            "amount": intent.amount,
            "amount_captured": intent.captured if moved else 0,
            "amount_refunded": returned,
            "captured": moved and intent.captured > 0,
            "created": attempt.created,
            "currency": intent.currency,
            "customer": None,
            "description": intent.details.get("description"),
            "disputed": "dispute" in intent.details,
            "failure_code": failure.get("code"),
            "failure_message": failure.get("message"),
            "livemode": False,
            "metadata": intent.metadata,
            "outcome": _outcome(attempt),
            "paid": attempt.status == "succeeded",
            "payment_intent": self.payment_intent(intent) if "payment_intent" in expand else intent.id,
            "payment_method": attempt.payment_method,
            "payment_method_details": _method_details(attempt),
            "refunded": moved and returned == intent.amount,
            "status": ATTEMPT_STATUSES[attempt.status],
        }

    def refund(self, intent: Intent, refund: Refund, expand: Collection[str] = ()) -> Json:
        """The Refund, with its amount in minor units."""
        within = strip_prefix(expand, "payment_intent")
        attempt = self._intents.attempt(refund.attempt_id)
        charge = self.charge(intent, attempt) if attempt and "charge" in expand else refund.attempt_id
        wanted = "payment_intent" in expand or within
        return {
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "balance_transaction": None,
            "charge": charge,
            "created": refund.created,
            "currency": intent.currency,
            "destination_details": {"card": {"type": "refund"}, "type": "card"},
            **({"failure_reason": "expired_or_canceled_card"} if refund.status == "failed" else {}),
            "metadata": refund.metadata,
            "payment_intent": self.payment_intent(intent, within) if wanted else intent.id,
            "reason": refund.reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": refund.status,
            "transfer_reversal": None,
        }

    def dispute(self, intent: Intent) -> Json:
        """The Dispute of an intent that has one; it has no metadata of the payment."""
        dispute = intent.details["dispute"]
        return {
            "id": dispute["id"],
            "object": "dispute",
            "amount": dispute["amount"],
            "charge": intent.attempt_id,
            "currency": intent.currency,
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
            "payment_intent": intent.id,
            "reason": "fraudulent",
            "status": dispute["status"],
        }

    def _latest_charge(self, intent: Intent, attempt: Attempt | None, expand: Collection[str]) -> Json | str | None:
        if attempt is not None and "latest_charge" in expand:
            return self.charge(intent, attempt)
        return intent.attempt_id

    def _last_error(self, intent: Intent, attempt: Attempt | None) -> Json | None:
        if attempt is None or attempt.failure is None or intent.state not in (State.OPEN, State.VOIDED):
            return None
        method = payment_method(attempt.payment_method)
        return {"charge": attempt.id, "payment_method": method, "type": "card_error", **attempt.failure}


def payment_method(token: str) -> Json:
    """The PaymentMethod of a test card's token."""
    card = CARDS[token]
    shown = {"brand": card.brand, "last4": card.last4, "exp_month": 12, "exp_year": 2034, "funding": "credit"}
    return {"id": token, "object": "payment_method", "type": "card", "card": shown, "livemode": False, "metadata": {}}


def page(data: list[Json], url: str, has_more: bool) -> Json:
    """Stripe's list object around one page of data."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def strip_prefix(expand: Iterable[str], prefix: str) -> list[str]:
    """The names to expand inside the field `prefix`."""
    return [path.removeprefix(f"{prefix}.") for path in expand if path.startswith(f"{prefix}.")]


def _next_action(intent: Intent) -> Json | None:
    if intent.state is not State.ACTION_REQUIRED:
        return None
    url, return_url = intent.details["action_url"], intent.details["return_url"]
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}
    return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}}


def _outcome(attempt: Attempt) -> Json:
    approved = attempt.failure is None
    reason = None if approved else attempt.failure.get("decline_code") if attempt.failure else None
    status = "approved_by_network" if approved else "declined_by_network"
    return {"network_status": status, "reason": reason, "type": "authorized" if approved else "issuer_declined"}


def _method_details(attempt: Attempt) -> Json:
    card = CARDS[attempt.payment_method]
    lapses = attempt.created + HOLD_SECONDS
    return {"type": "card", "card": {"brand": card.brand, "last4": card.last4, "capture_before": lapses}}
