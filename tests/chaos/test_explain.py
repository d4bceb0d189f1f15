"""The check of the journal reports each wrong response, and accepts every right one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.chaos.explain import unexplained
from tests.chaos.facts import Fact, Money
from tests.chaos.journal import Answer, Call, Order, Verdict

BOOKING, EVENT, BUYER = str(uuid4()), uuid4(), uuid4()
CONFIRMED = Fact("confirmed", BUYER, EVENT, ("A-1-1",), {}, 5000, ("ticket",), Money(taken=5000, captures=1))
CANCELLED = Fact("cancelled", BUYER, EVENT, ("A-1-1",), {}, 5000, ())


def order(call: Call, *answers: Answer) -> Order:
    body = {"event_id": str(EVENT), "seats": ["A-1-1"], "quantities": {}} if call == "hold" else {}
    return Order(0, "0", BUYER, call, BOOKING, "key", body, list(answers))


def ok(status: int, **body: Any) -> Answer:
    return Answer(0, Verdict.OK, status, body)


def refused(problem: str, status: int = 409) -> Answer:
    return Answer(0, Verdict.REFUSED, status, {"type": f"https://seatwright.dev/problems/{problem}"})


HELD, PAID, FREED = ok(201, id=BOOKING, amount=5000), ok(200, tickets=[{"id": "ticket"}]), ok(200)
UNKNOWN = Answer(0, Verdict.UNKNOWN, 503, {"booking_id": BOOKING})
BOUGHT = [order("hold", HELD), order("pay", UNKNOWN, PAID)]
TAKEN, DECLINED = refused("seats-unavailable"), refused("payment-declined", 402)


@pytest.mark.parametrize(
    ("orders", "facts"),
    [
        (BOUGHT, {BOOKING: CONFIRMED}),
        ([order("hold", HELD), order("cancel", FREED)], {BOOKING: CANCELLED}),
        ([order("hold", UNKNOWN, TAKEN)], {}),
        ([*BOUGHT, order("pay", refused("refund-required"))], {BOOKING: CONFIRMED}),
        ([order("hold", HELD), order("pay", DECLINED)], {BOOKING: CANCELLED._replace(status="expired")}),
    ],
    ids=["bought", "cancelled", "refused", "paid twice over", "declined"],
)
def test_every_correct_outcome_is_explained(orders: list[Order], facts: dict[str, Fact]) -> None:
    assert unexplained(orders, facts, {}) == []


@pytest.mark.parametrize(
    ("orders", "fact", "lie"),
    [
        (BOUGHT, None, "there is no such booking"),
        (BOUGHT, CANCELLED._replace(status="failed"), "it is failed"),
        (BOUGHT, CONFIRMED._replace(status="paying"), "is still paying"),
        (BOUGHT, CONFIRMED._replace(seats=("A-1-2",)), "other places"),
        (BOUGHT, CONFIRMED._replace(user_id=uuid4()), "another owner"),
        (BOUGHT, CONFIRMED._replace(amount=4000), "for 5000"),
        (BOUGHT, CONFIRMED._replace(tickets=("another",)), "the tickets are others"),
        (BOUGHT, CONFIRMED._replace(tickets=()), "0 tickets for 1 places"),
        (BOUGHT, CONFIRMED._replace(money=Money()), "owes 5000"),
        (BOUGHT, CONFIRMED._replace(money=Money(10_000, 2)), "charged 2 times"),
        (BOUGHT, CONFIRMED._replace(money=Money(5000, 1, 5000)), "reserved=5000"),
        ([order("hold", HELD), order("cancel", FREED)], CONFIRMED, "it is confirmed"),
        ([order("hold", HELD), order("cancel", FREED)], CANCELLED._replace(money=Money(5000, 1)), "owes 0"),
        ([order("hold", HELD), order("pay", DECLINED)], CONFIRMED, "no order to pay was answered so"),
        ([order("hold", HELD)], CANCELLED, "no request asked for that"),
        ([order("hold", TAKEN)], CANCELLED._replace(status="expired"), "was refused, but there is a booking"),
        ([order("hold", HELD, TAKEN)], None, "was ok, and refused later"),
        ([order("hold", UNKNOWN)], None, "is still unknown"),
        ([order("hold")], None, "is still unknown"),
        ([order("hold", HELD), order("pay", refused("refund-required"))], CANCELLED, "was refused as paid"),
        ([order("hold", refused("not-found", 404))], None, "was refused with not-found"),
        ([order("hold", replace(TAKEN, trouble="a refusal without problem details"))], None, "without problem"),
        ([order("hold", replace(UNKNOWN, body={"booking_id": "other"}), TAKEN)], None, "under the id other"),
    ],
)
def test_a_lie_is_seen(orders: list[Order], fact: Fact | None, lie: str) -> None:
    found = unexplained(orders, {BOOKING: fact} if fact else {}, {})
    assert any(lie in line for line in found), found
    assert all(line.startswith(BOOKING) for line in found)


def test_money_without_a_booking_is_seen() -> None:
    assert unexplained([order("hold", TAKEN)], {}, {BOOKING: Money(5000, 1)})


def test_a_booking_that_no_buyer_requested_is_reported() -> None:
    assert unexplained([], {str(UUID(int=0)): CONFIRMED}, {}) == [f"{UUID(int=0)}: no request asked for it"]
