"""Executes the calls of the Stripe API that are new, authenticated and valid."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.faults import Fault
from sandbox.intents import AmountExceeded, Intent, Intents, State, WrongState, read_intent
from sandbox.ledger import Ledger
from sandbox.store import Store
from sandbox.stripe import errors, rules
from sandbox.stripe.amounts import check_amount
from sandbox.stripe.balance import TYPES, Balance
from sandbox.stripe.cards import AUTHENTICATION_FAILURE, CARDS, Card, failure
from sandbox.stripe.errors import ApiError
from sandbox.stripe.objects import Json, Renderer, page, payment_method, status_of, strip_prefix
from sandbox.stripe.params import (
    Reader,
    anything,
    boolean,
    fields,
    integer,
    limit_of,
    metadata,
    one_of,
    positive,
    string,
    strings,
    url,
)
from sandbox.stripe.rules import check_confirm_only, may_redirect, method_types, not_refundable, refund_status

Values = dict[str, Any]


@dataclass
class Context:
    """The context of a call.

    Attributes:
        object_id: The id in the path, empty if there is none.
        action_base: Address under which a browser reaches the 3-D Secure pages of this sandbox.
        fault: A `decline` or `processing` fault for this call.
        intent_id: The intent of the call, set by the operation.
    """

    object_id: str
    path: str
    action_base: str
    fault: Fault | None = None
    intent_id: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """One documented call: its name in faults and logs, its parameters, and its handler."""

    method: str
    path: str
    operation: str
    params: Mapping[str, Reader]
    required: tuple[str, ...]
    run: Callable[[Values, Context], Json]


CONFIRM_PARAMS: dict[str, Reader] = {
    "payment_method": string,
    "payment_method_options": anything,
    "allowed_payment_method_types": strings,
    "payment_method_types": strings,  # what versions of the API before 2026-10-28.endive call it
    "return_url": url,
    "off_session": boolean,
    "use_stripe_sdk": boolean,
    "error_on_requires_action": boolean,
    "receipt_email": string,
    "setup_future_usage": one_of("off_session", "on_session"),
    "shipping": anything,
    "capture_method": one_of("automatic", "automatic_async", "manual"),
    "expand": strings,
}
CREATE_PARAMS: dict[str, Reader] = CONFIRM_PARAMS | {
    "amount": positive,
    "currency": string,
    "confirm": boolean,
    "confirmation_method": one_of("automatic", "manual"),
    "automatic_payment_methods": fields(enabled=boolean, allow_redirects=one_of("always", "never")),
    "description": string,
    "metadata": metadata,
    "statement_descriptor": string,
    "statement_descriptor_suffix": string,
}
CAPTURE_PARAMS: dict[str, Reader] = {
    "amount_to_capture": positive,
    "final_capture": boolean,
    "metadata": metadata,
    "statement_descriptor": string,
    "statement_descriptor_suffix": string,
    "expand": strings,
}
CANCEL_PARAMS: dict[str, Reader] = {
    "cancellation_reason": one_of("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
    "expand": strings,
}
REFUND_PARAMS: dict[str, Reader] = {
    "payment_intent": string,
    "amount": positive,
    "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
    "metadata": metadata,
    "expand": strings,
}
RETRIEVE_PARAMS: dict[str, Reader] = {"expand": strings, "client_secret": string}
PAGE_PARAMS: dict[str, Reader] = {"limit": positive, "starting_after": string, "expand": strings}
OF_INTENT_PARAMS: dict[str, Reader] = PAGE_PARAMS | {"payment_intent": string}
LIST_PARAMS: dict[str, Reader] = PAGE_PARAMS | {
    "created": fields(gt=integer, gte=integer, lt=integer, lte=integer),
}
BALANCE_PARAMS: dict[str, Reader] = LIST_PARAMS | {"type": one_of(*sorted({*TYPES.values()}))}

# Word for word what the real API says, since people search for these sentences.
REFUSALS = {
    "confirm": "You cannot confirm this PaymentIntent because it has a status of {status}. Only a PaymentIntent with "
    "one of the following statuses may be confirmed: requires_confirmation, requires_action.",
    "capture": "This PaymentIntent could not be captured because it has a status of {status}. Only a PaymentIntent "
    "with one of the following statuses may be captured: requires_capture.",
    "cancel": "You cannot cancel this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one "
    "of the following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation, "
    "requires_action, processing.",
}


class Operations:
    """Each method is one Stripe call, run inside a transaction; an `ApiError` is an outcome that is saved, too."""

    def __init__(self, store: Store, ledger: Ledger, intents: Intents) -> None:
        self._store = store
        self._intents = intents
        self._render = Renderer(intents)
        self._balance = Balance(ledger, intents)

    def endpoints(self) -> list[Endpoint]:
        """The calls with their parameters, and the name by which faults and the log know each."""
        intents, one = "/v1/payment_intents", "/v1/payment_intents/{id}"
        return [
            Endpoint("POST", intents, "create", CREATE_PARAMS, ("amount", "currency"), self.create),
            Endpoint("GET", intents, "list", LIST_PARAMS, (), self.list_intents),
            Endpoint("GET", one, "retrieve", RETRIEVE_PARAMS, (), self.retrieve),
            Endpoint("POST", f"{one}/confirm", "confirm", CONFIRM_PARAMS, (), self.confirm),
            Endpoint("POST", f"{one}/capture", "capture", CAPTURE_PARAMS, (), self.capture),
            Endpoint("POST", f"{one}/cancel", "cancel", CANCEL_PARAMS, (), self.cancel),
            Endpoint("POST", "/v1/refunds", "refund", REFUND_PARAMS, ("payment_intent",), self.refund),
            Endpoint("GET", "/v1/refunds", "list", OF_INTENT_PARAMS, ("payment_intent",), self.list_refunds),
            Endpoint("GET", "/v1/refunds/{id}", "retrieve", RETRIEVE_PARAMS, (), self.retrieve_refund),
            Endpoint("GET", "/v1/charges", "list", OF_INTENT_PARAMS, ("payment_intent",), self.list_charges),
            Endpoint("GET", "/v1/charges/{id}", "retrieve", RETRIEVE_PARAMS, (), self.retrieve_charge),
            Endpoint("GET", "/v1/balance_transactions", "list", BALANCE_PARAMS, (), self._balance.transactions),
        ]

    def create(self, values: Values, context: Context) -> Json:
        """Create an intent, and confirm it if the request says so."""
        currency = values["currency"].lower()
        check_amount(values["amount"], currency)
        check_confirm_only(values)
        token = values.get("payment_method")
        if token is not None:
            _card(token)
        intent = self._open(values, currency)
        context.intent_id = intent.id
        if token is not None:
            self._intents.choose(intent, token)
        if values.get("confirm"):
            self._confirm(intent, values, context)
        return self._render.payment_intent(intent, values.get("expand", ()))

    def retrieve(self, values: Values, context: Context) -> Json:
        """The intent in its current state."""
        return self._render.payment_intent(self._find(context), values.get("expand", ()))

    def confirm(self, values: Values, context: Context) -> Json:
        """Charge the card, or begin 3-D Secure."""
        intent = self._find(context)
        self._confirm(intent, values, context)
        return self._render.payment_intent(intent, values.get("expand", ()))

    def capture(self, values: Values, context: Context) -> Json:
        """Take the reserved money, or a part of it; the rest is released."""
        intent = self._find(context)
        if context.fault and intent.state is State.AUTHORIZED:
            raise self._declined(intent, failure(context.fault.code), intent.payment_method)
        try:
            self._intents.capture(intent, values.get("amount_to_capture"))
        except WrongState as refused:
            raise self._refused(refused) from None
        except AmountExceeded as refused:
            message = (
                f"The provided amount_to_capture ({refused.asked}) is greater than the capturable amount of the "
                f"PaymentIntent ({refused.left})."
            )
            raise ApiError(message, code="amount_too_large", param="amount_to_capture") from None
        return self._render.payment_intent(intent, values.get("expand", ()))

    def cancel(self, values: Values, context: Context) -> Json:
        """Cancel the intent, and release what is reserved."""
        intent = self._find(context)
        intent.details["cancellation_reason"] = values.get("cancellation_reason")
        try:
            self._intents.void(intent)
        except WrongState as refused:
            raise self._refused(refused) from None
        return self._render.payment_intent(intent, values.get("expand", ()))

    def refund(self, values: Values, context: Context) -> Json:
        """Refund what was captured, or a part of it."""
        intent = self._intent(values["payment_intent"], "payment_intent")
        context.intent_id = intent.id
        rules.check_not_disputed(intent)
        reason, metadata = values.get("reason"), values.get("metadata", {})
        try:
            refund = self._intents.refund(intent, values.get("amount"), reason, metadata, refund_status(context.fault))
        except WrongState:
            message = f"This PaymentIntent ({intent.id}) does not have a successful charge to refund."
            raise ApiError(message, param="payment_intent") from None
        except AmountExceeded as refused:
            raise not_refundable(refused) from None
        return self._render.refund(intent, refund, values.get("expand", ()))

    def retrieve_refund(self, values: Values, context: Context) -> Json:
        """One refund in its current state."""
        refund = self._intents.find_refund(context.object_id)
        if refund is None:
            raise errors.missing("refund", context.object_id, "id")
        context.intent_id = refund.intent_id
        return self._render.refund(self._intent(refund.intent_id, "id"), refund, values.get("expand", ()))

    def list_refunds(self, values: Values, context: Context) -> Json:
        """A page of the refunds of an intent."""
        intent = self._listed(values, context)
        expand = strip_prefix(values.get("expand", ()), "data")
        rendered = [self._render.refund(intent, each, expand) for each in self._intents.refunds(intent.id)]
        return _paged(rendered, values, context.path)

    def retrieve_charge(self, values: Values, context: Context) -> Json:
        """One payment attempt, as a Charge."""
        attempt = self._intents.attempt(context.object_id)
        if attempt is None:
            raise errors.missing("charge", context.object_id, "id")
        context.intent_id = attempt.intent_id
        return self._render.charge(self._intent(attempt.intent_id, "id"), attempt, values.get("expand", ()))

    def list_charges(self, values: Values, context: Context) -> Json:
        """A page of the payment attempts of an intent, as Charges."""
        intent = self._listed(values, context)
        rendered = [self._render.charge(intent, each) for each in self._intents.attempts(intent.id)]
        return _paged(rendered, values, context.path)

    def list_intents(self, values: Values, context: Context) -> Json:
        """Newest first, as Stripe lists; `created` bounds are Unix seconds."""
        self._intents.expire_due()
        limit = limit_of(values)
        where, bounds = self._list_bounds(values)
        sql = f"SELECT * FROM intents WHERE face = 'stripe'{where} ORDER BY created DESC, seq DESC LIMIT ?"
        rows = self._store.all(sql, *bounds, limit + 1)
        expand = strip_prefix(values.get("expand", ()), "data")
        data = [self._render.payment_intent(read_intent(row), expand) for row in rows[:limit]]
        return page(data, context.path, len(rows) > limit)

    def authenticated(self, intent: Intent, approved: bool) -> None:
        """Apply the buyer's answer to 3-D Secure.

        Raises:
            WrongState: The intent does not wait for the buyer any more.
        """
        token = intent.payment_method or ""
        refusal = CARDS[token].failure if approved else AUTHENTICATION_FAILURE
        if refusal:
            self._intents.decline(intent, token, refusal)
        else:
            self._intents.authorize(intent, token)

    def _open(self, values: Values, currency: str) -> Intent:
        capture_method = values.get("capture_method", "automatic_async")
        kept = ("description", "receipt_email", "statement_descriptor_suffix")
        details = {name: values[name] for name in kept if name in values} | method_types(values)
        details |= {"capture_method": capture_method, "client_secret": f"secret_{secrets.token_hex(12)}"}
        given = values.get("metadata", {})
        return self._intents.create(
            amount=values["amount"],
            currency=currency,
            manual_capture=capture_method == "manual",
            booking_id=given.get("booking_id"),
            metadata=given,
            details=details,
        )

    def _confirm(self, intent: Intent, values: Values, context: Context) -> None:
        token = values.get("payment_method") or intent.payment_method
        self._check_confirmable(intent, token, values)
        assert token is not None
        card, fault = _card(token), context.fault
        if fault and fault.kind == "processing":
            self._intents.process(intent, token)
        elif fault:
            self._decline(intent, token, failure(fault.code))
        elif card.challenge:
            self._challenge(intent, token, values.get("return_url"), context)
        elif card.failure:
            self._decline(intent, token, card.failure)
        else:
            self._intents.authorize(intent, token)

    def _check_confirmable(self, intent: Intent, token: str | None, values: Values) -> None:
        if intent.state not in (State.OPEN, State.ACTION_REQUIRED):
            raise self._refused(WrongState(intent, "confirm"))
        if token is None:
            raise errors.unexpected_state(
                "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update "
                "the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with "
                "a payment method or ConfirmationToken.",
                self._render.payment_intent(intent),
            )
        if "return_url" not in values and may_redirect(intent):
            raise ApiError(
                "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
                "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
                "If you don't want to accept redirect-based payment methods, set "
                "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to "
                "`never` when creating Setup Intents and Payment Intents."
            )

    def _challenge(self, intent: Intent, token: str, return_url: str | None, context: Context) -> None:
        self._intents.challenge(intent, token, return_url, context.action_base)

    def _decline(self, intent: Intent, token: str, reason: dict[str, str]) -> None:
        self._intents.decline(intent, token, reason)
        raise self._declined(intent, reason, token)

    def _declined(self, intent: Intent, reason: dict[str, str], token: str | None) -> ApiError:
        about = {
            "charge": intent.attempt_id,
            "payment_intent": self._render.payment_intent(intent),
            "payment_method": payment_method(token) if token else None,
        }
        return errors.declined(reason, about)

    def _refused(self, refused: WrongState) -> ApiError:
        rendered = self._render.payment_intent(refused.intent)
        if refused.operation == "capture" and refused.intent.state is State.CAPTURED:
            message = "This PaymentIntent could not be captured because it has already been captured."
        elif refused.operation == "confirm" and refused.intent.state is State.CAPTURED:
            message = "You cannot confirm this PaymentIntent because it has already succeeded after being previously "
            message += "confirmed."
        else:
            message = REFUSALS[refused.operation].format(status=status_of(refused.intent))
        return errors.unexpected_state(message, rendered)

    def _find(self, context: Context) -> Intent:
        context.intent_id = context.object_id
        return self._intent(context.object_id, "intent")

    def _intent(self, intent_id: str, param: str) -> Intent:
        intent = self._intents.find(intent_id)
        if intent is None:
            raise errors.missing("payment_intent", intent_id, param)
        return intent

    def _listed(self, values: Values, context: Context) -> Intent:
        context.intent_id = values["payment_intent"]
        return self._intent(values["payment_intent"], "payment_intent")

    def _list_bounds(self, values: Values) -> tuple[str, list[Any]]:
        signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
        created = values.get("created", {})
        where = "".join(f" AND created {signs[name]} ?" for name in created)
        bounds = list(created.values())
        if "starting_after" in values:
            last = self._intent(values["starting_after"], "starting_after")
            where += " AND (created, seq) < (?, ?)"
            bounds += [last.created, last.seq]
        return where, bounds


def _card(token: str) -> Card:
    card = CARDS.get(token)
    if card is None:
        raise errors.missing("PaymentMethod", token, "payment_method", status=400)
    return card


def _paged(data: list[Json], values: Values, path: str) -> Json:
    after = values.get("starting_after")
    start = next((place + 1 for place, each in enumerate(data) if each["id"] == after), 0)
    limit = limit_of(values)
    return page(data[start : start + limit], path, len(data) > start + limit)
