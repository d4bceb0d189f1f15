"""Stripe as a payment gateway: each call is one request under our key, and each outcome is one of the domain's."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from datetime import date, timedelta
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import stripe
from stripe import params

from adapters.payment.call_limit import CallLimit
from adapters.payment.retry_after import seconds_of
from adapters.payment.stripe import STRIPE, settlement_report
from domain.buyers import UNKNOWN, BuyerDetails
from domain.card_numbers import has_card_number
from domain.money import Money
from domain.payments import (
    AmountRejected,
    Intent,
    IntentNotFound,
    IntentState,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
)
from domain.reconciliation import MovementPage

# Otherwise the SDK writes an id of this machine into the home folder and sends it along.
stripe.enable_telemetry = False

STATES = {
    "requires_payment_method": IntentState.OPEN,
    "requires_confirmation": IntentState.OPEN,
    "requires_action": IntentState.ACTION_REQUIRED,
    "processing": IntentState.PROCESSING,
    "requires_capture": IntentState.AUTHORIZED,
    "succeeded": IntentState.CAPTURED,
    "canceled": IntentState.VOIDED,
}

TOKEN = re.compile(r"(pm|card)_[A-Za-z0-9_]{1,200}")

REFUSED_STATUSES = frozenset({400, 401, 402, 403, 404})
NOT_FOUND = "resource_missing"
OF_AMOUNTS = frozenset({"amount", "currency"})
"""The parameters that Stripe names where it takes no payment of this amount."""
EXPAND_CHARGE = "latest_charge"
"""The charge alone knows what was refunded; what has just been made, taken or voided was not."""

REFUND_STATES = {
    "pending": ProviderRefundState.PENDING,
    "requires_action": ProviderRefundState.PENDING,
    "succeeded": ProviderRefundState.SUCCEEDED,
    "failed": ProviderRefundState.FAILED,
    "canceled": ProviderRefundState.FAILED,
}
REFUND_KEY = "refund_key"
"""The metadata under which a refund carries our key, so that it is found again when its answer was lost."""

Answer = TypeVar("Answer")


class _InTurn(stripe.AIOHTTPClient):
    """The SDK's HTTP client, whose requests wait for their turn; waiting is no part of their time."""

    def __init__(self, limit: CallLimit | None, **options: Any) -> None:
        super().__init__(**options)
        self._limit = limit

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        if self._limit:
            await self._limit.turn()
        return await super().request_async(method, url, headers, post_data)


class StripeGateway:
    """Payment intents with manual capture through Stripe's SDK, with reused connections and no retries of its own.

    Every method raises `PaymentUnknown` when the outcome is not known, and `PaymentRejected` when Stripe refuses the
    request itself; a wrong state has the code `payment_intent_unexpected_state`, also when it is the wanted one. A
    replayed success is never believed: the intent is retrieved, so that each `Intent` returned is as it stands now.
    """

    provider = STRIPE
    quiet: timedelta | None = None

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = stripe.DEFAULT_API_BASE,
        connect_seconds: float = 2.0,
        total_seconds: float = 10.0,
        limit: CallLimit | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            api_key: A secret or restricted key.
            base_url: Where the API is served, without a trailing slash.
            connect_seconds: Longest wait for a TCP and TLS connection.
            total_seconds: Longest wait for a whole answer, connection included.
            limit: Whose turns the calls wait for.
        """
        timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds)
        self._limit = limit
        self._http = _InTurn(limit, timeout=timeout)
        self._client = stripe.StripeClient(
            api_key, base_addresses={"api": base_url}, max_network_retries=0, http_client=self._http
        )

    async def close(self) -> None:
        """Close the connections; the gateway cannot be used afterwards."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def keep_turn(self, *, begins: bool = False) -> None:
        """Wait until the next call may be made."""
        if self._limit:
            await self._limit.keep_turn(begins=begins)

    async def create(
        self, booking_id: UUID, amount: Money, *, key: str, return_url: str, buyer: BuyerDetails = UNKNOWN
    ) -> Intent:
        """Open an intent for what a booking owes; no money moves, and `return_url` is not needed before `confirm`."""
        request: params.PaymentIntentCreateParams = {
            "amount": _units(amount),
            "currency": amount.currency.lower(),
            "capture_method": "manual",
            "allowed_payment_method_types": ["card"],
            "metadata": {"booking_id": str(booking_id)},
        }
        return await self._intent(self._client.v1.payment_intents.create_async(request, _under(key)))

    async def confirm(self, intent_id: str, payment_method: str, *, return_url: str, key: str) -> Intent:
        """Authorize the whole amount; the answer is AUTHORIZED, ACTION_REQUIRED or PROCESSING.

        Raises:
            PaymentDeclined: The issuer refused; nothing is reserved.
            PaymentRejected: `payment_method` is not one of Stripe's tokens; nothing was sent.
        """
        request: params.PaymentIntentConfirmParams = {
            "payment_method": _token(payment_method),
            "return_url": return_url,
        }
        return await self._intent(self._client.v1.payment_intents.confirm_async(intent_id, request, _under(key)))

    async def retrieve(self, intent_id: str) -> Intent:
        """The intent as it stands now, with what was captured and refunded."""
        request: params.PaymentIntentRetrieveParams = {"expand": [EXPAND_CHARGE]}
        try:
            return read_intent(await _outcome(self._client.v1.payment_intents.retrieve_async(intent_id, request)))
        except PaymentRejected as rejected:
            if rejected.code == NOT_FOUND:
                raise IntentNotFound(rejected.code, str(rejected)) from rejected
            raise

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        """Take the whole amount that is reserved.

        Raises:
            PaymentDeclined: The issuer took the authorization back.
        """
        return await self._intent(self._client.v1.payment_intents.capture_async(intent_id, options=_under(key)))

    async def void(self, intent_id: str, *, key: str) -> Intent:
        """Close the intent and release what it reserves."""
        return await self._intent(self._client.v1.payment_intents.cancel_async(intent_id, options=_under(key)))

    async def refund(self, intent_id: str, amount: Money, *, key: str) -> Intent:
        """Give back a part or all of what was captured; the answer is the intent afterwards.

        Raises:
            PaymentRejected: More than is left (`charge_already_refunded` when nothing is), or the refund failed.
        """
        request: params.RefundCreateParams = {
            "payment_intent": intent_id,
            "amount": _units(amount),
            "metadata": {REFUND_KEY: key},
            "expand": [f"payment_intent.{EXPAND_CHARGE}"],
        }
        refund = await _outcome(self._client.v1.refunds.create_async(request, _under(key)))
        if refund.status in ("failed", "canceled"):
            raise PaymentRejected(
                f"refund_{refund.status}", getattr(refund, "failure_reason", None) or "the refund failed"
            )
        if _was_replayed(refund) or not isinstance(refund.payment_intent, stripe.PaymentIntent):
            return await self.retrieve(intent_id)
        return read_intent(refund.payment_intent)

    async def retrieve_refund(self, intent_id: str, *, key: str) -> ProviderRefund | None:
        """The refund that was made under this key, as it stands now; None where there is none.

        Found among the intent's refunds, since the answer that had its id may have been lost.
        """
        request: params.RefundListParams = {"payment_intent": intent_id, "limit": 100}
        page = await _outcome(self._client.v1.refunds.list_async(request))
        while True:
            for refund in page.data:
                if refund.metadata and refund.metadata.to_dict().get(REFUND_KEY) == key:
                    return _refund(refund)
            if not page.has_more:
                return None
            page = await _outcome(page.next_page_async())

    async def movements(self, day: date, page: str | None) -> MovementPage:
        """A page of what moved on our balance on a day, and then of what is reserved since that day."""
        call, read = settlement_report.asked(self._client, day, page)
        return read(await _outcome(call))

    async def _intent(self, call: Awaitable[stripe.PaymentIntent]) -> Intent:
        answer = await _outcome(call)
        return await self.retrieve(answer.id) if _was_replayed(answer) else read_intent(answer)


async def _outcome(call: Awaitable[Answer]) -> Answer:
    """The SDK's answer, with its errors in the domain's words."""
    try:
        return await call
    except stripe.StripeError as error:
        raise _translated(error) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        # The SDK wraps what happens until the headers arrive, not what happens while the body is read.
        raise PaymentUnknown(f"no answer from Stripe: {type(error).__name__}") from error


def _translated(error: stripe.StripeError) -> PaymentDeclined | PaymentRejected | PaymentUnknown:
    message = error.user_message or type(error).__name__
    kind = getattr(error.error, "type", None) or "unknown_error"
    code = getattr(error.error, "code", None) or kind
    if kind == "card_error":
        return PaymentDeclined(getattr(error.error, "decline_code", None) or code, message)
    if error.http_status in REFUSED_STATUSES and not isinstance(error, stripe.RateLimitError):
        of_amount = getattr(error.error, "param", None) in OF_AMOUNTS
        return AmountRejected(code, message) if of_amount else PaymentRejected(code, message)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    replayed = headers.get("idempotent-replayed") == "true"
    return PaymentUnknown(message, replayed=replayed, retry_after=seconds_of(headers.get("retry-after")))


def _was_replayed(answer: stripe.PaymentIntent | stripe.Refund) -> bool:
    response = answer.last_response
    return response is not None and response.headers.get("Idempotent-Replayed") == "true"


def read_intent(given: stripe.PaymentIntent) -> Intent:
    """The intent in the domain's words and in our minor units.

    Raises:
        PaymentUnknown: Stripe names a status or an amount that cannot be read.
    """
    state = STATES.get(given.status)
    if state is None:
        raise PaymentUnknown(f"Stripe says status {given.status}")
    # What is reserved may be less than what was asked for, and is all that can be captured.
    amount = given.amount_capturable if state is IntentState.AUTHORIZED else given.amount
    return Intent(
        id=given.id,
        state=state,
        amount=_money(amount, given.currency),
        captured=_money(given.amount_received, given.currency).amount,
        refunded=_money(_refunded(given), given.currency).amount,
        action_url=_action_url(given),
        decline_code=_decline_code(given) if state is IntentState.OPEN else None,
    )


def _refund(given: stripe.Refund) -> ProviderRefund:
    return ProviderRefund(
        state=REFUND_STATES[given.status or "pending"],
        code=getattr(given, "failure_reason", None),
        amount=_money(given.amount, given.currency),
    )


def _refunded(given: stripe.PaymentIntent) -> int:
    """What was taken and given back. A charge also counts what was released without being taken as refunded."""
    charge = given.latest_charge
    if given.status != "succeeded" or not isinstance(charge, stripe.Charge):
        return 0
    return max(0, charge.amount_refunded - (charge.amount - charge.amount_captured))


def _decline_code(given: stripe.PaymentIntent) -> str | None:
    """Why the last payment method was refused; Stripe reports it until there is another one."""
    error = given.last_payment_error
    return None if error is None else getattr(error, "decline_code", None) or getattr(error, "code", None)


def _action_url(given: stripe.PaymentIntent) -> str | None:
    # The SDK raises for a field that the answer does not have, and other kinds of action have no `redirect_to_url`.
    redirect = getattr(given.next_action, "redirect_to_url", None)
    return getattr(redirect, "url", None)


def _token(payment_method: str) -> str:
    """Let only Stripe's tokens pass, so that a card number never leaves or enters; the message never repeats it."""
    if not TOKEN.fullmatch(payment_method) or has_card_number(payment_method):
        raise PaymentRejected("payment_method_invalid", "payment_method is not one of Stripe's tokens (pm_…, card_…)")
    return payment_method


def _units(amount: Money) -> int:
    try:
        return STRIPE.to_units(amount)
    except ValueError as error:
        raise AmountRejected("amount_invalid", str(error)) from error


def _money(units: int, currency: str) -> Money:
    try:
        return STRIPE.from_units(units, currency.upper())
    except ValueError as error:
        raise PaymentUnknown(f"Stripe's answer cannot be read: {error}") from error


def _under(key: str) -> stripe.RequestOptions:
    return {"idempotency_key": key}
