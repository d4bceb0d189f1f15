"""A booking with a person's name and address wherever a buyer can put them, whose payments fail in every way."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID, uuid4

import httpx2

from tests.api.people import log_in
from tests.buyer import CARD, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient


class PersonalBooking(NamedTuple):
    """The booking is paid, and its refund requested. `mark` is in all of the person's data, and nowhere else."""

    mark: str
    name: str
    email: str
    buyer: Buyer
    event: str
    held: httpx2.Response
    refund: str

    @property
    def id(self) -> str:
        return str(self.held.json()["id"])


async def book_with_personal_data(platform: PlatformClient, http: httpx2.AsyncClient) -> PersonalBooking:
    """The buyer registers twice, fails to pay in every way, pays, and requests a refund."""
    mark = uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))  # digits might be taken for a card's
    name, email, password = f"Canary {mark}", f"canary-{mark}@example.test", f"canary {mark}"
    for _ in range(2):
        await http.post("/v1/users", json={"email": email, "password": password, "name": name})
    person = await log_in(http, email, password)
    buyer = Buyer(http, UUID(person.id), person.access_token)
    event = await platform.event()
    held = await buyer.hold(event, "A-1-1", key=email)
    booking = str(held.json()["id"])
    await http.get("/v1/search", params={"q": email})
    await http.get(f"/v1/bookings/{email}", headers=buyer.headers)
    await buyer.pay(booking, DECLINED_CARD, key=email)
    await buyer.pay(booking, f"pm_{mark}", key=name.replace(" ", "-"))
    await platform.provider.will("500_before", "confirm", booking)
    answer = await buyer.pay(booking, CARD)
    assert answer.status_code == 200, answer.text
    refund = await buyer.refund(booking, reason=f"{name} <{email}> is ill.", key=email)
    assert refund.status_code == 202, refund.text
    return PersonalBooking(mark, name, email, buyer, event, held, str(refund.json()["id"]))
