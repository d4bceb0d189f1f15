"""Stripe's rules for requests, from its documentation and its responses."""

from __future__ import annotations

from typing import Any

from sandbox.disputes import is_disputed
from sandbox.faults import Fault
from sandbox.intents import AmountExceeded, Intent
from sandbox.stripe.amounts import written
from sandbox.stripe.errors import ApiError

Values = dict[str, Any]


def check_confirm_only(values: Values) -> None:
    """Check the parameters that need `confirm`.

    Raises:
        ApiError: `return_url` is given to a request that does not confirm.
    """
    if "return_url" in values and not values.get("confirm"):
        message = (
            "The parameter `return_url` cannot be passed when creating a PaymentIntent unless `confirm` is set to "
        )
        raise ApiError(f"{message}true.", param="return_url")


def method_types(values: Values) -> Values:
    """Without a list of types Stripe uses automatic payment methods, which require a return address."""
    types = values.get("allowed_payment_method_types") or values.get("payment_method_types")
    if types is not None:
        return {"payment_method_types": types, "automatic_payment_methods": None}
    chosen = {"enabled": True, "allow_redirects": "always"} | values.get("automatic_payment_methods", {})
    return {"automatic_payment_methods": chosen}


def may_redirect(intent: Intent) -> bool:
    """Whether the intent allows payment methods that redirect the buyer."""
    automatic = intent.details.get("automatic_payment_methods")
    return bool(automatic and automatic["enabled"] and automatic["allow_redirects"] == "always")


def check_not_disputed(intent: Intent) -> None:
    """Raise Stripe's error for a refund of a payment that the buyer's bank has taken back."""
    if is_disputed(intent):
        message = f"Charge {intent.attempt_id} has been charged back; cannot issue a refund."
        raise ApiError(message, code="charge_disputed")


def not_refundable(refused: AmountExceeded) -> ApiError:
    """Stripe's error for a refund of more than is left, in words that depend on what is left."""
    intent = refused.intent
    if refused.left == 0:
        return ApiError(f"Charge {intent.attempt_id} has already been refunded.", code="charge_already_refunded")
    asked, left = written(refused.asked, intent.currency), written(refused.left, intent.currency)
    return ApiError(f"Refund amount ({asked}) is greater than unrefunded amount on charge ({left})", param="amount")


def refund_status(fault: Fault | None) -> str:
    """The status of a new refund; a fault makes it `pending` or `failed`."""
    return {"processing": "pending", "decline": "failed"}[fault.kind] if fault else "succeeded"
