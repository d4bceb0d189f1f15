"""PayU (REST API 2.1 of PayU GPO Europe) as a payment gateway: the buyer pays on PayU's own page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import orjson

from adapters.payment.call_limit import CallLimit
from adapters.payment.payu import PAYU
from adapters.payment.payu.oauth import AccessTokens
from adapters.payment.retry_after import seconds_of
from domain.buyers import UNKNOWN, BuyerDetails
from domain.money import Money
from domain.payments import (
    AmountRejected,
    Intent,
    IntentNotFound,
    IntentState,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
)
from domain.reconciliation import MovementPage

ORDERS = "/api/v2_1/orders"

# An order that is NEW waits for its buyer, and so does one that is PENDING, as far as PayU shows: at 3-D Secure,
# or for a bank's answer. Either can still be cancelled.
STATES = {
    "NEW": IntentState.ACTION_REQUIRED,
    "PENDING": IntentState.ACTION_REQUIRED,
    "WAITING_FOR_CONFIRMATION": IntentState.AUTHORIZED,
    "COMPLETED": IntentState.CAPTURED,
    "CANCELED": IntentState.VOIDED,
}
REFUND_STATES = {
    "PENDING": ProviderRefundState.PENDING,
    "FINALIZED": ProviderRefundState.SUCCEEDED,
    "CANCELED": ProviderRefundState.FAILED,
}
DONE = frozenset({200, 201, 302})
UNDECIDED = frozenset({408, 429})
NOT_FOUND = "DATA_NOT_FOUND"
NOT_UNIQUE = "ERROR_ORDER_NOT_UNIQUE"
APPROVED = "000"
SHOPS_OWN_ADDRESS = "127.0.0.1"
"""PayU wants the buyer's IP address for its fraud checks. Where it is not known, PayU takes this one, an example in its
reference."""


class PayUGateway:
    """Orders of a point of sale whose automatic receive is off, with reused connections and no retries of its own.

    An order is always opened without a payment method, and its buyer sent to PayU's page. So none of our calls
    charges a buyer, and an order whose opening was lost can be left alone: no buyer has seen its page, so it takes no
    money, and PayU cancels it when its validity is over. (With a card token the opening itself would reserve
    money, and there is no public call that finds an order by our own id.)

    Every method raises `PaymentUnknown` when the outcome is not known, and `PaymentRejected` when PayU refuses the
    request itself. Each `Intent` returned is as it stands now.
    """

    provider = PAYU
    quiet: timedelta | None = None

    def __init__(
        self,
        pos_id: str,
        client_secret: str,
        *,
        notify_url: str,
        validity_seconds: int,
        base_url: str = "https://secure.payu.com",
        connect_seconds: float = 2.0,
        total_seconds: float = 10.0,
        limit: CallLimit | None = None,
    ) -> None:
        """Connect to nothing yet; must be called in a running event loop.

        Args:
            pos_id: The point of sale, which is also the OAuth client.
            client_secret: The OAuth secret of the point of sale.
            notify_url: Where PayU sends notifications.
            validity_seconds: How long an order may be paid.
            base_url: Where the API is served, without a trailing slash.
            connect_seconds: Longest wait for a TCP and TLS connection.
            total_seconds: Longest wait for a whole answer, connection included.
            limit: Whose turns the calls wait for; getting an access token, twice a day, is not counted.
        """
        self._limit = limit
        timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds)
        headers = {"Accept": "application/json"}
        self._http = aiohttp.ClientSession(timeout=timeout, headers=headers, middlewares=(_once,))
        self._tokens = AccessTokens(self._http, base_url, pos_id, client_secret)
        self._orders_url = base_url + ORDERS
        self._pos_id = pos_id
        self._notify_url = notify_url
        self._validity_seconds = validity_seconds

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
        """Open an order for what a booking owes; the answer is ACTION_REQUIRED, with PayU's page.

        Raises:
            PaymentUnknown: Also, as `replayed`, where an earlier order has this key. Its page is not told again, so
                it can never be paid; the next key opens another.
        """
        total = _units(amount)
        request = {
            "extOrderId": key,
            "merchantPosId": self._pos_id,
            "customerIp": buyer.ip or SHOPS_OWN_ADDRESS,
            "description": f"Booking {booking_id}",
            "currencyCode": amount.currency,
            "totalAmount": total,
            "products": [{"name": "Tickets", "unitPrice": total, "quantity": "1", "virtual": True}],
            "continueUrl": return_url,
            "notifyUrl": self._notify_url,
            "validityTime": str(self._validity_seconds),
            **_buyer(buyer),
        }
        try:
            order = await self._call("POST", "", request)
        except PaymentRejected as rejected:
            if rejected.code == NOT_UNIQUE:
                raise PaymentUnknown("PayU has an order of this key already", replayed=True) from rejected
            raise
        with _reading():
            page = order["redirectUri"]
            return Intent(id=order["orderId"], state=IntentState.ACTION_REQUIRED, amount=amount, action_url=page)

    async def confirm(self, intent_id: str, payment_method: str, *, return_url: str, key: str) -> Intent:
        """Raises: PaymentRejected: Always: the buyer confirms on PayU's page."""
        raise PaymentRejected("payment_method_not_taken", "the buyer pays on PayU's page")

    async def retrieve(self, intent_id: str) -> Intent:
        """The order as it stands now, with what was refunded for certain, or why it was refused."""
        try:
            answer = await self._call("GET", _at(intent_id))
        except PaymentRejected as rejected:
            if rejected.code == NOT_FOUND:
                raise IntentNotFound(rejected.code, str(rejected)) from rejected
            raise
        with _reading():
            order = answer["orders"][0]
            state = STATES[order["status"]]
            amount = PAYU.from_units(int(order["totalAmount"]), order["currencyCode"])
        return Intent(
            id=intent_id,
            state=state,
            amount=amount,
            captured=amount.amount if state is IntentState.CAPTURED else 0,
            refunded=await self._refunded(intent_id, amount.currency) if state is IntentState.CAPTURED else 0,
            decline_code=await self._decline_code(intent_id) if state is IntentState.VOIDED else None,
        )

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        """Take the whole amount that is reserved."""
        await self._call("POST", _at(intent_id, "captures"), {})
        return await self._changed(intent_id, IntentState.CAPTURED)

    async def void(self, intent_id: str, *, key: str) -> Intent:
        """Cancel the order and release what it reserves."""
        await self._call("DELETE", _at(intent_id))
        return await self._changed(intent_id, IntentState.VOIDED)

    async def refund(self, intent_id: str, amount: Money, *, key: str) -> Intent:
        """Ask for a part or all of what was captured to be given back; the answer is the order afterwards.

        The same key is the same refund at PayU. What is pending is not counted as `refunded` yet.

        Raises:
            PaymentRejected: More than is left (`PAID` when nothing is), or the refund was cancelled.
        """
        asked = {
            "description": "Refund",
            "amount": _units(amount),
            "currencyCode": amount.currency,
            "extRefundId": key,
        }
        answer = await self._call("POST", _at(intent_id, "refunds"), {"refund": asked})
        with _reading():
            status = answer["refund"]["status"]
        if status == "CANCELED":
            raise PaymentRejected("refund_canceled", "PayU cancelled the refund")
        return await self.retrieve(intent_id)

    async def _changed(self, intent_id: str, to: IntentState) -> Intent:
        """Believe a success when the order shows it."""
        intent = await self.retrieve(intent_id)
        if intent.state is not to:
            raise PaymentUnknown(f"PayU agreed, but the order is still {intent.state}")
        return intent

    async def retrieve_refund(self, intent_id: str, *, key: str) -> ProviderRefund | None:
        """The refund that was made under this key, as it stands now; None where there is none."""
        refunds = await self._call("GET", _at(intent_id, "refunds"))
        with _reading():
            for refund in refunds:
                if refund.get("extRefundId") == key:
                    code = (refund.get("statusError") or {}).get("code")
                    amount = PAYU.from_units(int(refund["amount"]), refund["currencyCode"])
                    return ProviderRefund(state=REFUND_STATES[refund["status"]], code=code, amount=amount)
        return None

    async def movements(self, day: date, page: str | None) -> MovementPage:
        """Nothing: PayU's REST API lists no orders. Its statements are files that PayU has to set up for a company."""
        return MovementPage(movements=())

    async def _refunded(self, intent_id: str, currency: str) -> int:
        refunds = await self._call("GET", _at(intent_id, "refunds"))
        with _reading():
            back = sum(int(refund["amount"]) for refund in refunds if refund["status"] == "FINALIZED")
            return PAYU.from_units(back, currency).amount

    async def _decline_code(self, intent_id: str) -> str | None:
        """The issuer's answer to the last try, or PayU's own; None where there was no try."""
        try:
            answer = await self._call("GET", _at(intent_id, "transactions"))
        except PaymentRejected:
            return None
        with _reading():
            last = (answer.get("transactions") or [{}])[-1]
            code = last.get("card", {}).get("cardData", {}).get("cardResponseCode", APPROVED)
            return str(code) if code != APPROVED else last.get("resultCode")

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        token = await self._tokens.current()
        if self._limit:
            await self._limit.turn()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._http.request(
                method, self._orders_url + path, data=data, headers=headers, allow_redirects=False
            ) as answer:
                status, told, text = answer.status, answer.headers, await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise PaymentUnknown(f"no answer from PayU: {type(error).__name__}") from error
        if status == 401:
            # Nothing was done; the next try comes with a new token.
            self._tokens.forget(token)
        return _outcome(status, told, text)


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again when a reused connection breaks: it may have had its effect."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise PaymentUnknown(f"no answer from PayU: {type(error).__name__}") from error


@contextmanager
def _reading() -> Iterator[None]:
    """An answer that is not as PayU documents it says nothing."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise PaymentUnknown(f"PayU's answer cannot be read: {error!r}") from error


def _units(amount: Money) -> str:
    try:
        return str(PAYU.to_units(amount))
    except ValueError as error:
        raise AmountRejected("currency_not_supported", str(error)) from error


def _at(intent_id: str, what: str = "") -> str:
    return f"/{quote(intent_id, safe='')}" + (f"/{what}" if what else "")


def _outcome(status: int, headers: Mapping[str, str], text: bytes) -> Any:
    """PayU's answer, with its errors in the domain's words."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PaymentUnknown(f"PayU answered {status} with no JSON") from None
    if status in DONE:
        return body
    told = body.get("status") if isinstance(body, dict) else None
    reason = told if isinstance(told, dict) else {}
    message = reason.get("statusDesc") or f"PayU answered {status}"
    if status == 401 or status in UNDECIDED or status >= 500:
        raise PaymentUnknown(message, retry_after=seconds_of(headers.get("Retry-After")))
    raise PaymentRejected(_code(reason, status), message)


def _buyer(known: BuyerDetails) -> dict[str, dict[str, str]]:
    """What the buyer has given; PayU wants all of it or nothing where there is no email address."""
    if known.email is None:
        return {}
    names = {"email": "email", "phone": "phone", "name": "firstName", "surname": "lastName"}
    given = {theirs: getattr(known, ours) for ours, theirs in names.items()}
    return {"buyer": {name: value for name, value in given.items() if value}}


def _code(reason: Mapping[str, Any], status: int) -> str:
    """PayU's most specific code: its refunds name their errors by `codeLiteral` alone."""
    code = str(reason.get("statusCode") or f"http_{status}")
    return str(reason.get("codeLiteral") or code) if code.startswith("OPENPAYU_") else code
