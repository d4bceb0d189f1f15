"""iyzico as a payment gateway: buyers pay on its Checkout Form; the money is reserved first and taken later."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import aiohttp
from babel import Locale

from adapters.payment.call_limit import CallLimit
from adapters.payment.iyzico import IYZICO
from adapters.payment.iyzico.amounts import write_amount
from adapters.payment.iyzico.responses import (
    IN_PROGRESS,
    NOT_FOR_POSTAUTH,
    SYSTEM_ERRORS,
    WRONG_CALLS,
    Json,
    amount_of,
    code_of,
    given_back,
    read,
    reason,
    refusal,
    reported,
    succeeded,
)
from adapters.payment.iyzico.settlement_report import movements_of
from adapters.payment.iyzico.signatures import authorization, is_answer_genuine
from adapters.payment.retry_after import seconds_of
from domain.buyers import UNKNOWN, BuyerDetails
from domain.money import Money
from domain.payments import Intent, IntentState, PaymentRejected, PaymentUnknown, ProviderRefund, ProviderRefundState
from domain.reconciliation import MovementPage

OF_A_PAYMENT = ("paymentId", "currency", "basketId", "conversationId", "paidPrice", "price")
OF_A_FORM = ("paymentStatus", *OF_A_PAYMENT, "token")
OF_A_REFUND = ("paymentId", "price", "currency", "conversationId")
OF_A_NEW_FORM = ("conversationId", "token")

_ENGLISH = Locale("en")  # iyzico wants the name of a country
NOWHERE = "127.0.0.1"  # iyzico wants an address also where that of the buyer is not known
NOT_COLLECTED = "Not collected"


class _Payment(NamedTuple):
    """A successful payment: as an intent, and what only iyzico's own calls need."""

    intent: Intent
    payment_id: str
    refunds: Mapping[str, ProviderRefund]


class IyzicoGateway:
    """The Checkout Form with pre-authorization, with reused connections and no retries of its own.

    An intent's id is the form's token. The payment that is made on the form has an id of its own, which is looked up by
    the token each time. Nothing is idempotent at iyzico: so every effect on a payment looks first, and is not repeated
    when it was made. Only `create` may be repeated and then makes a second form, and no buyer knows the first.

    What is under way cannot be seen. A capture, a cancel and a refund of all that is left are refused by iyzico the
    second time; a refund of a part is not. So it is not asked for again during the time `quiet`.

    A form that is not paid cannot be withdrawn: it can be paid until it expires by itself.

    Every method raises `PaymentUnknown` when the outcome is not known, and `PaymentRejected` when iyzico refuses the
    request itself.
    """

    provider = IYZICO

    def __init__(
        self,
        api_key: str,
        secret_key: str,
        *,
        base_url: str = "https://api.iyzipay.com",
        connect_seconds: float = 2.0,
        total_seconds: float = 10.0,
        quiet_seconds: float = 300.0,
        limit: CallLimit | None = None,
    ) -> None:
        """Connect to nothing yet; must be called inside the event loop.

        Args:
            api_key: Names the merchant.
            secret_key: Signs each request; it is never sent.
            base_url: Where the API is served, without a path.
            connect_seconds: Longest wait for a TCP and TLS connection.
            total_seconds: Longest wait for a whole answer, connection included.
            quiet_seconds: How long a request may run at iyzico after it was sent.
            limit: Whose turns the calls wait for.
        """
        self.quiet: timedelta | None = timedelta(seconds=quiet_seconds)
        self._limit = limit
        self._api_key = api_key
        self._secret_key = secret_key
        self._base_url = base_url
        timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds)
        self._http = aiohttp.ClientSession(timeout=timeout)

    async def close(self) -> None:
        """Close the connections; the gateway cannot be used afterwards."""
        await self._http.close()

    async def keep_turn(self, *, begins: bool = False) -> None:
        """Wait until the next call may be made."""
        if self._limit:
            await self._limit.keep_turn(begins=begins)

    async def create(
        self, booking_id: UUID, amount: Money, *, key: str, return_url: str, buyer: BuyerDetails = UNKNOWN
    ) -> Intent:
        """Open a form for what a booking owes; the answer is ACTION_REQUIRED with the page's address."""
        request = _form(booking_id, amount, key, return_url, buyer)
        answer = await self._post("/payment/iyzipos/checkoutform/initialize/preauth/ecom", request)
        self._trust(succeeded(answer), OF_A_NEW_FORM)
        page = answer["paymentPageUrl"]
        return Intent(id=answer["token"], state=IntentState.ACTION_REQUIRED, amount=amount, action_url=page)

    async def confirm(self, intent_id: str, payment_method: str, *, return_url: str, key: str) -> Intent:
        """Raises: PaymentRejected: Always; buyers choose their card on iyzico's page."""
        raise PaymentRejected("payment_method_not_accepted", "with iyzico the card is chosen on its own page")

    async def retrieve(self, intent_id: str) -> Intent:
        """The intent as it stands now, with what was captured and refunded.

        ACTION_REQUIRED as long as the buyer may still pay on the page, also after a card was refused there; OPEN when
        a refusal has ended the buyer's visit, as after 3-D Secure. `decline_code` says why, `amount` is unknown then.
        """
        found = await self._form(intent_id)
        return found.intent if isinstance(found, _Payment) else found

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        """Take the whole amount that is reserved, if that was not done before.

        Raises:
            PaymentDeclined: The bank refuses.
        """
        payment = await self._payment(intent_id, "capture")
        if payment.intent.state is not IntentState.AUTHORIZED:
            return _in_state(payment.intent, IntentState.CAPTURED)
        assert payment.intent.amount
        # Without a currency iyzico takes it to be TRY.
        currency = payment.intent.amount.currency
        request = {"paymentId": payment.payment_id, "ip": NOWHERE, "currency": currency, **_about(key)}
        answer = await self._post("/payment/postauth", request)
        if code_of(answer) == NOT_FOR_POSTAUTH:
            raise PaymentUnknown("another capture or cancel came in between")
        self._trust(succeeded(answer), OF_A_PAYMENT)
        taken = amount_of(answer["paidPrice"], str(answer.get("currency") or currency))
        update = {"state": IntentState.CAPTURED, "amount": taken, "captured": taken.amount}
        return payment.intent.model_copy(update=update)

    async def void(self, intent_id: str, *, key: str) -> Intent:
        """Release what is reserved; after a refusal that ended the buyer's visit there is nothing to release.

        Raises:
            PaymentRejected: The money was taken (`intent_captured`), the form may still be paid (`form_open`), or the
                payment is being reviewed (`payment_in_review`).
        """
        found = await self._form(intent_id)
        if not isinstance(found, _Payment):
            if found.state is IntentState.ACTION_REQUIRED:
                raise PaymentRejected("form_open", "a form that is not paid cannot be withdrawn")
            return found
        if found.intent.state not in (IntentState.AUTHORIZED, IntentState.PROCESSING):
            return _in_state(found.intent, IntentState.VOIDED)
        request = {"paymentId": found.payment_id, "ip": NOWHERE, **_about(key)}
        answer = await self._post("/payment/cancel", request)
        if code_of(answer) == IN_PROGRESS and found.intent.state is IntentState.PROCESSING:
            raise PaymentRejected("payment_in_review", "a payment that is being reviewed cannot be cancelled yet")
        succeeded(answer)
        return found.intent.model_copy(update={"state": IntentState.VOIDED})

    async def refund(self, intent_id: str, amount: Money, *, key: str) -> Intent:
        """Give back a part or all of what was captured, unless it was given back under this key before.

        Raises:
            PaymentRejected: More than is left.
            PaymentDeclined: The bank refuses.
        """
        payment = await self._payment(intent_id, "refund")
        intent = _in_state(payment.intent, IntentState.CAPTURED)
        if key in payment.refunds and payment.refunds[key].state is not ProviderRefundState.FAILED:
            return intent
        if amount.amount > intent.captured - intent.refunded:
            raise PaymentRejected("refund_exceeds_payment", "more than is left of the payment")
        request = {"paymentId": payment.payment_id, "ip": NOWHERE, **_about(key), **_priced(amount)}
        answer = await self._post("/v2/payment/refund", request)
        self._trust(succeeded(answer), OF_A_REFUND)
        return await self.retrieve(intent_id)

    async def retrieve_refund(self, intent_id: str, *, key: str) -> ProviderRefund | None:
        """The refund that was made under this key, as it stands now; None where there is none."""
        found = await self._form(intent_id)
        if not isinstance(found, _Payment):
            # Only what was taken is given back. To take this for "none" would give it back a second time.
            raise PaymentUnknown("iyzico does not tell of the payment whose refund is looked for")
        return found.refunds.get(key)

    async def movements(self, day: date, page: str | None) -> MovementPage:
        """A page of iyzico's report of a day."""
        query = urlencode({"transactionDate": day.isoformat(), "page": page or "1", **_about(f"day:{day}")})
        return movements_of(succeeded(await self._call("GET", f"/v2/reporting/payment/transactions?{query}", "")))

    async def _payment(self, intent_id: str, operation: str) -> _Payment:
        found = await self._form(intent_id)
        if isinstance(found, _Payment):
            return found
        raise PaymentRejected(f"intent_{found.state}", f"{operation} of a form on which nothing was paid")

    async def _form(self, token: str) -> _Payment | Intent:
        """The form's payment as it stands now, or the state of a form that is not paid."""
        request = {"token": token, **_about(token)}
        answer = await self._post("/payment/iyzipos/checkoutform/auth/ecom/detail", request)
        status = answer.get("paymentStatus")
        if status == "SUCCESS":
            self._trust(answer, OF_A_FORM)
            return await self._report(token, str(answer["paymentId"]))
        if status is None:
            # iyzico documents no code for a form that is not paid: it is any that names no wrong call and no fault
            # of iyzico. An answer without a code is not iyzico's, but that of a server in between.
            if code_of(answer) in SYSTEM_ERRORS | WRONG_CALLS | {""}:
                raise refusal(answer)
            return Intent(id=token, state=IntentState.ACTION_REQUIRED)
        visit_over = status == "FAILURE" and answer.get("mdStatus") is not None
        state = IntentState.OPEN if visit_over else IntentState.ACTION_REQUIRED
        return Intent(id=token, state=state, decline_code=reason(answer) if status == "FAILURE" else None)

    async def _report(self, token: str, payment_id: str) -> _Payment:
        query = urlencode({"paymentId": payment_id, **_about(token)})
        answer = succeeded(await self._call("GET", f"/v2/reporting/payment/details?{query}", ""))
        reports = [each for each in answer.get("payments") or () if str(each["paymentId"]) == payment_id]
        if not reports:
            raise PaymentUnknown(f"payment {payment_id} is not reported yet")
        refunds = [each for item in reports[0]["itemTransactions"] for each in item.get("refunds") or ()]
        return _Payment(reported(token, reports[0], refunds), payment_id, given_back(refunds, reports[0]["currency"]))

    async def _post(self, path: str, request: Json) -> dict[str, Any]:
        return await self._call("POST", path, json.dumps(request))

    async def _call(self, method: str, path: str, body: str) -> dict[str, Any]:
        """One call, and its answer, which may be a failure."""
        if self._limit:
            await self._limit.turn()
        random_key = secrets.token_hex(8)
        signed = authorization(self._api_key, self._secret_key, random_key, urlsplit(path).path, body)
        headers = {"Authorization": signed, "x-iyzi-rnd": random_key, "Content-Type": "application/json"}
        try:
            async with self._http.request(
                method, self._base_url + path, data=body or None, headers=headers
            ) as response:
                text, status = await response.text(), response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise PaymentUnknown(f"no answer from iyzico: {type(error).__name__}") from error
        if status == 429 or status >= 500:
            raise PaymentUnknown(
                f"iyzico answers {status}", retry_after=seconds_of(response.headers.get("Retry-After"))
            )
        return read(text)

    def _trust(self, answer: Json, names: tuple[str, ...]) -> None:
        if not is_answer_genuine(self._secret_key, answer, names):
            raise PaymentUnknown("an answer is not signed by iyzico")


def _form(booking_id: UUID, amount: Money, key: str, return_url: str, buyer: BuyerDetails) -> Json:
    price, about = write_amount(amount), _buyer(booking_id, buyer)
    where = {"address": about["registrationAddress"], "city": about["city"], "country": about["country"]}
    return {
        **_about(key),
        **_priced(amount),
        "paidPrice": price,
        "basketId": str(booking_id),
        "paymentGroup": "PRODUCT",
        "callbackUrl": return_url,
        "enabledInstallments": [1],
        "buyer": about,
        "billingAddress": {"contactName": f"{about['name']} {about['surname']}", **where},
        "basketItems": [
            {"id": str(booking_id), "name": "Tickets", "category1": "Tickets", "itemType": "VIRTUAL", "price": price}
        ],
    }


def _buyer(booking_id: UUID, known: BuyerDetails) -> dict[str, str]:
    """What iyzico wants to know of the buyer; what the buyer has not given is left general."""
    phone = {"gsmNumber": known.phone} if known.phone else {}
    return phone | {
        "id": str(booking_id),
        "name": known.name or "Ticket",
        "surname": known.surname or "Buyer",
        "email": known.email or f"{booking_id}@buyers.seatwright.example",
        "identityNumber": known.identity_number or "11111111111",
        "registrationAddress": known.address or NOT_COLLECTED,
        "city": known.city or "Istanbul",
        "country": _ENGLISH.territories.get(known.country, known.country) if known.country else "Turkey",
        "ip": known.ip or NOWHERE,
    }


def _about(key: str) -> dict[str, str]:
    return {"locale": "en", "conversationId": key}


def _priced(amount: Money) -> dict[str, str]:
    return {"price": write_amount(amount), "currency": amount.currency}


def _in_state(intent: Intent, state: IntentState) -> Intent:
    """Raises: PaymentRejected: The intent has another state."""
    if intent.state is not state:
        raise PaymentRejected(f"intent_{intent.state}", f"the payment is {intent.state}, not {state}")
    return intent
