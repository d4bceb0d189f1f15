"""What an integrator writes with a client generated from `/openapi.json`: book, pay, exchange a seat, refund a ticket.

`tests/api/test_generated_client.py` generates the client, checks this program in strict mypy and runs it.
Arguments: the API's address, an access token, an event on sale.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID, uuid4

import httpx
from seatwright_client import AuthenticatedClient
from seatwright_client.api.bookings import (
    get_booking,
    hold_seats,
    list_my_bookings,
    list_refunds,
    pay_for_booking,
    refund_tickets,
)
from seatwright_client.api.exchanges import exchange_seat, get_exchange, quote_exchange
from seatwright_client.models import (
    BookingBody,
    BookingDetails,
    BookingPage,
    BookingStatus,
    ExchangeBody,
    ExchangeQuote,
    ExchangeQuoteBody,
    ExchangeState,
    ExchangeView,
    NextAction,
    PaymentBody,
    ProviderName,
    Redirect,
    Refund,
    RefundBody,
    RefundList,
    RefundState,
    SeatsUnavailableProblem,
)

T = TypeVar("T")
CARD = "pm_card_threeDSecure2Required"


def wait_for(read: Callable[[], T | None]) -> T:
    """Read again until there is something, for at most a minute."""
    for _ in range(300):
        found = read()
        if found is not None:
            return found
        time.sleep(0.2)
    raise TimeoutError


def approve(action: object) -> None:
    """What the buyer does in the browser: approve the payment on the bank's page."""
    assert isinstance(action, NextAction | Redirect)
    assert action.type_ == "redirect_to_url"
    assert isinstance(action.url, str)
    httpx.post(action.url, data={"outcome": "approve"})


class Shop:
    """A shop that sells the seats of one event."""

    def __init__(self, client: AuthenticatedClient, event: UUID) -> None:
        self._client, self._event = client, event

    def hold(self, *seats: str) -> BookingDetails:
        """Hold seats for a buyer."""
        held = hold_seats.sync(client=self._client, body=self._of(*seats), idempotency_key=str(uuid4()))
        assert isinstance(held, BookingDetails), held
        assert held.status is BookingStatus.HELD
        return held

    def cannot_hold(self, *seats: str) -> list[str]:
        """Seats that others have, by the refusal of a hold."""
        refused = hold_seats.sync(client=self._client, body=self._of(*seats), idempotency_key=str(uuid4()))
        assert isinstance(refused, SeatsUnavailableProblem), refused
        assert isinstance(refused.seats, list)
        return refused.seats

    def pay(self, booking: UUID) -> BookingDetails:
        """Pay by a card that requires 3-D Secure."""
        body, key = PaymentBody(provider=ProviderName.STRIPE, payment_method=CARD), str(uuid4())
        answer = pay_for_booking.sync_detailed(booking, client=self._client, body=body, idempotency_key=key)
        assert answer.status_code == 202
        assert isinstance(answer.parsed, BookingDetails)
        approve(answer.parsed.next_action)
        return wait_for(lambda: self._with_status(booking, BookingStatus.CONFIRMED))

    def quote(self, booking: UUID, ticket: UUID, seat: str) -> ExchangeQuote:
        """What an exchange would cost."""
        quoted = quote_exchange.sync(booking, client=self._client, body=ExchangeQuoteBody(ticket=ticket, seat=seat))
        assert isinstance(quoted, ExchangeQuote), quoted
        return quoted

    def exchange(self, booking: UUID, ticket: UUID, seat: str) -> ExchangeView:
        """Exchange a seat for a dearer one; the difference is paid in the same way."""
        body = ExchangeBody(ticket=ticket, seat=seat, provider=ProviderName.STRIPE, payment_method=CARD)
        started = exchange_seat.sync(booking, client=self._client, body=body, idempotency_key=str(uuid4()))
        assert isinstance(started, ExchangeView), started
        approve(started.next_action)
        return wait_for(lambda: self._completed(booking, started.id))

    def refund(self, booking: UUID, ticket: UUID) -> Refund:
        """Give one ticket back, and wait for the money."""
        body = RefundBody(reason="We cannot come.", tickets=[ticket])
        accepted = refund_tickets.sync(booking, client=self._client, body=body, idempotency_key=str(uuid4()))
        assert isinstance(accepted, Refund), accepted
        return wait_for(lambda: self._paid_back(booking, accepted.id))

    def bookings(self) -> list[BookingDetails]:
        """All bookings of the buyer, page by page."""
        found: list[BookingDetails] = []
        cursor: UUID | None = None
        while True:
            page = list_my_bookings.sync(client=self._client, cursor=cursor)
            assert isinstance(page, BookingPage), page
            found += page.bookings
            cursor = page.next_cursor
            if cursor is None:
                return found

    def _of(self, *seats: str) -> BookingBody:
        return BookingBody(event_id=self._event, seats=list(seats))

    def _with_status(self, booking: UUID, status: BookingStatus) -> BookingDetails | None:
        now = get_booking.sync(booking, client=self._client)
        assert isinstance(now, BookingDetails), now
        return now if now.status is status else None

    def _completed(self, booking: UUID, exchange: UUID) -> ExchangeView | None:
        now = get_exchange.sync(booking, exchange, client=self._client)
        assert isinstance(now, ExchangeView), now
        assert now.failure is None, now.failure
        return now if now.state is ExchangeState.COMPLETED else None

    def _paid_back(self, booking: UUID, refund: UUID) -> Refund | None:
        all_of_them = list_refunds.sync(booking, client=self._client)
        assert isinstance(all_of_them, RefundList), all_of_them
        paid = [each for each in all_of_them.refunds if each.id == refund and each.state is RefundState.SUCCEEDED]
        return paid[0] if paid else None


def main(url: str, token: str, event: str) -> None:
    """Buy two seats of section B, exchange one for a dearer seat of section A, give the other back."""
    shop = Shop(AuthenticatedClient(base_url=url, token=token, timeout=httpx.Timeout(60)), UUID(event))
    held = shop.hold("B-1-1", "B-1-2")
    assert shop.cannot_hold("B-1-1") == ["B-1-1"]
    confirmed = shop.pay(held.id)
    assert isinstance(confirmed.tickets, list)
    first, second = confirmed.tickets
    assert shop.quote(held.id, first.id, "A-1-1").charge == 1000
    exchanged = shop.exchange(held.id, first.id, "A-1-1")
    assert (exchanged.seat, exchanged.difference) == ("A-1-1", 1000)
    refunded = shop.refund(held.id, second.id)
    assert (refunded.amount, refunded.fee) == (4000, 0)
    assert [each.id for each in shop.bookings()] == [held.id]
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
