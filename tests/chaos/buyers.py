"""The buyers' scripts; `_insist` handles failures, so that a script only lists the steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import httpx2

from api.auth.tokens import AccessTokens, Principal
from api.http.idempotency import booking_id_for
from config.settings import Settings, secret
from domain.identity import Role
from tests.buyer import CARD, CARD_WITH_3DS, DECLINED_CARD
from tests.chaos.journal import Answer, Call, Journal, Order, Verdict
from tests.http_client import http_client

PATIENCE = (0.3, 0.6, 1.2, 2.4, 4.8, 4.8, 4.8)
"""Seconds between a buyer's calls while the outcome is unknown; then the buyer gives up."""


class Sale(NamedTuple):
    """The events on sale, and the addresses of the APIs.

    Attributes:
        event: Holds last long enough to pay at leisure.
        brief: Another event, whose holds end after `brief_seconds`.
        seats: Names, the same in both.
        people: Who buys: accounts with an address to write to.
        apis: Addresses of API processes by name.
        closing: Set when the buyers should come to an end.
    """

    settings: Settings
    tokens: AccessTokens
    journal: Journal
    event: str
    brief: str
    brief_seconds: int
    seats: Sequence[str]
    people: Sequence[UUID]
    apis: Mapping[str, httpx2.AsyncClient]
    closing: asyncio.Event


class Buyer:
    """A buyer whose choices depend on a seed only."""

    def __init__(self, sale: Sale, name: str, random: Random) -> None:
        self._sale = sale
        self._name = name
        self._random = random
        self._user_id = random.choice(sale.people)

    # What they want

    async def pays(self) -> None:
        if booking := await self._hold(self._some_seats()):
            await self._think()
            await self._pay(booking)

    async def stands(self) -> None:
        if booking := await self._hold(quantities={"Standing": self._random.randint(1, 4)}):
            await self._pay(booking)

    async def is_declined_and_pays(self) -> None:
        if booking := await self._hold(self._some_seats()):
            answer = await self._pay(booking, DECLINED_CARD)
            if answer.problem == "payment-declined":
                await self._pay(booking)

    async def authenticates(self) -> None:
        if booking := await self._hold(self._some_seats()):
            answer = await self._pay(booking, CARD_WITH_3DS)
            action = answer.body.get("next_action") if answer.status == 202 else None
            if action:
                await self._think()
                await self._act(action["url"])

    async def cancels(self) -> None:
        if booking := await self._hold(self._some_seats()):
            paying = asyncio.create_task(self._pay(booking)) if self._random.random() < 0.5 else None
            await self._think()
            await self._cancel(booking)
            if paying:
                await paying

    async def forgets(self) -> None:
        await self._hold(self._some_seats(), event=self._sale.brief)

    async def pays_at_the_last_moment(self) -> None:
        if booking := await self._hold(self._some_seats(), event=self._sale.brief):
            await self._pause(self._sale.brief_seconds + self._random.uniform(-1.5, 0.5))
            await self._pay(booking)

    async def clicks_twice(self) -> None:
        hold = self._order_hold(self._sale.event, self._some_seats(), {})
        first, second = await asyncio.gather(self._insist(hold), self._insist(hold))
        if Verdict.OK in (first.verdict, second.verdict):
            pay = self._order_pay(hold.booking, CARD)
            await asyncio.gather(self._insist(pay), self._insist(pay))

    async def orders_twice(self) -> None:
        if booking := await self._hold(self._some_seats()):
            await asyncio.gather(self._pay(booking), self._pay(booking))

    async def rushes(self, seats: Sequence[str]) -> None:
        if booking := await self._hold(seats):
            await self._pay(booking)

    # How they go about it

    async def _hold(
        self, seats: Sequence[str] = (), *, quantities: dict[str, int] | None = None, event: str | None = None
    ) -> str | None:
        order = self._order_hold(event or self._sale.event, seats, quantities or {})
        return order.booking if (await self._insist(order)).verdict is Verdict.OK else None

    async def _pay(self, booking: str, method: str = CARD) -> Answer:
        return await self._insist(self._order_pay(booking, method))

    async def _cancel(self, booking: str) -> Answer:
        return await self._insist(self._order("cancel", booking, {}, key=""))

    def _order_hold(self, event: str, seats: Sequence[str], quantities: dict[str, int]) -> Order:
        key = self._key()
        booking = booking_id_for(self._user_id, key, secret(self._sale.settings.booking_id_secret))
        body = {"event_id": event, "seats": list(seats), "quantities": quantities}
        return self._order("hold", str(booking), body, key)

    def _order_pay(self, booking: str, method: str) -> Order:
        return self._order("pay", booking, {"provider": "stripe", "payment_method": method}, self._key())

    def _order(self, call: Call, booking: str, body: dict[str, Any], key: str) -> Order:
        return self._sale.journal.order(self._name, self._user_id, call, booking, key, body)

    async def _insist(self, order: Order) -> Answer:
        """Repeat the call with the same key until the outcome is known or the retries are used up."""
        for pause in PATIENCE:
            answer = await ask(self._sale, order, self._random.choice(list(self._sale.apis)))
            if answer.verdict is not Verdict.UNKNOWN or self._sale.closing.is_set():
                return answer
            await self._pause(pause * self._random.uniform(0.7, 1.3))
        return answer

    async def _act(self, url: str) -> None:
        """Answer the provider's page; give up if it is down."""
        choice = "approve" if self._random.random() < 0.7 else "fail"
        async with http_client(timeout=10) as http:
            with suppress(httpx2.HTTPError):
                await http.post(url, data={"outcome": choice}, follow_redirects=False)

    async def _think(self) -> None:
        await self._pause(self._random.expovariate(2))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._sale.closing.wait(), max(0, seconds))

    def _some_seats(self) -> list[str]:
        return self._random.sample(self._sale.seats, self._random.randint(1, 3))

    def _key(self) -> str:
        return str(UUID(int=self._random.getrandbits(64)))  # sixteen bare digits might be a card's number


async def ask(sale: Sale, order: Order, where: str) -> Answer:
    """Send the call once, to one API process."""
    token = sale.tokens.issue(Principal(order.user_id, frozenset({Role.CUSTOMER})))
    headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": order.key} if order.key else {})
    http = sale.apis[where]

    def send() -> Awaitable[httpx2.Response]:
        if order.call == "cancel":
            return http.delete(f"/v1/bookings/{order.booking}", headers=headers)
        path = "/v1/bookings" if order.call == "hold" else f"/v1/bookings/{order.booking}/payment"
        return http.post(path, json=order.body, headers=headers)

    return await sale.journal.ask(order, send, where)


Script = Callable[[Buyer], Awaitable[None]]

SCRIPTS: Mapping[Script, int] = {
    Buyer.pays: 30,
    Buyer.stands: 12,
    Buyer.is_declined_and_pays: 10,
    Buyer.authenticates: 10,
    Buyer.cancels: 10,
    Buyer.forgets: 6,
    Buyer.pays_at_the_last_moment: 8,
    Buyer.clicks_twice: 10,
    Buyer.orders_twice: 6,
}
"""The share of each script in percent, outside rushes."""
