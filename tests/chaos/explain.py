"""Explains every response in the journal by the durable state; an unexplained response is a bug."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.chaos.facts import Fact, Money
from tests.chaos.journal import Answer, Order, Verdict

ENDED = {"confirmed", "cancelled", "expired", "failed"}
EXPECTED_REFUSALS = {
    "hold": {"seats-unavailable"},
    "pay": {
        *("payment-declined", "payment-in-progress", "payment-too-late", "booking-failed", "refund-required"),
        "wrong-state",
    },
    "cancel": {"wrong-state", "refund-required"},
}


def unexplained(orders: Sequence[Order], facts: Mapping[str, Fact], stray_money: Mapping[str, Money]) -> list[str]:
    """Find the contradictions, one line each, which starts with the booking's id.

    Args:
        facts: Every booking that there is in the events of these orders.
        stray_money: What the provider has for booking ids without a row.
    """
    by_booking: dict[str, list[Order]] = defaultdict(list)
    for order in orders:
        by_booking[order.booking].append(order)
    found = [f"{booking}: no request asked for it" for booking in facts.keys() - by_booking.keys()]
    for booking, of_booking in by_booking.items():
        fact = facts.get(booking)
        lines = [*_of_booking(fact, of_booking, stray_money.get(booking, Money()))]
        for order in of_booking:
            lines += [*_of_order(order), *_of_last_answer(order, fact)]
        if lines:
            lines.append(f"answers: {'; '.join(map(_answers, of_booking))}")
        found += [f"{booking}: {line}" for line in lines]
    return found


def _of_booking(fact: Fact | None, orders: Sequence[Order], stray: Money) -> Iterator[str]:
    if fact is None:
        if any(stray):
            yield f"there is no booking, but the provider has {stray}"
        return
    owed = fact.amount if fact.status == "confirmed" else 0
    if fact.status not in ENDED:
        yield f"is still {fact.status}"
    elif (fact.money.taken, fact.money.reserved) != (owed, 0):
        yield f"is {fact.status} and owes {owed}, but the provider has {fact.money}"
    if fact.money.captures > 1:
        yield f"was charged {fact.money.captures} times"
    places = len(fact.seats) + sum(fact.quantities.values())
    if len(fact.tickets) != (places if fact.status == "confirmed" else 0):
        yield f"is {fact.status} with {len(fact.tickets)} tickets for {places} places"
    if fact.status == "confirmed" and not any(order.call == "pay" and order.verdict is Verdict.OK for order in orders):
        yield "is confirmed, but no order to pay was answered so"
    if fact.status == "cancelled" and not any(order.call == "cancel" for order in orders):
        yield "is cancelled, but no request asked for that"


def _of_order(order: Order) -> Iterator[str]:
    """The rules for one response, and for all responses to one key."""
    yield from (f"{_name(order)} was answered with {each.trouble}" for each in order.answers if each.trouble)
    refusals = {each.problem for each in order.answers if each.verdict is Verdict.REFUSED}
    for refusal in sorted(refusals - EXPECTED_REFUSALS[order.call]):
        yield f"{_name(order)} was refused with {refusal}"
    done = next((at for at, each in enumerate(order.answers) if _is_final(each)), None)
    if done is not None and any(each.verdict is Verdict.REFUSED for each in order.answers[done:]):
        yield f"{_name(order)} was ok, and refused later"
    for each in order.answers:
        if each.verdict is Verdict.UNKNOWN and each.body.get("booking_id", order.booking) != order.booking:
            yield f"{_name(order)} is unknown under the id {each.body['booking_id']}"


def _of_last_answer(order: Order, fact: Fact | None) -> Iterator[str]:
    if order.verdict is Verdict.UNKNOWN:
        yield f"{_name(order)} is still unknown"
    elif order.verdict is Verdict.OK:
        yield from (f"{_name(order)} was ok, but {lie}" for lie in _lies(order, order.answers[-1], fact))
    elif order.call == "hold" and fact is not None:
        yield f"{_name(order)} was refused, but there is a booking, {fact.status}"
    elif order.answers[-1].problem == "refund-required" and (fact is None or fact.status != "confirmed"):
        yield f"{_name(order)} was refused as paid, but it is {fact.status if fact else 'no booking'}"


def _lies(order: Order, answer: Answer, fact: Fact | None) -> Iterator[str]:
    if fact is None:
        yield "there is no such booking"
        return
    if order.call == "hold":
        asked = (set(order.body["seats"]), order.body["quantities"], order.body["event_id"], order.user_id)
        if asked != (set(fact.seats), fact.quantities, str(fact.event_id), fact.user_id):
            yield "the booking has other places, another event or another owner"
        if (answer.body["id"], answer.body["amount"]) != (order.booking, fact.amount):
            yield f"the answer was about {answer.body['id']} for {answer.body['amount']}"
    if order.call == "pay" and answer.status == 200:
        if fact.status != "confirmed":
            yield f"it is {fact.status}"
        if {ticket["id"] for ticket in answer.body["tickets"]} != set(fact.tickets):
            yield "the tickets are others"
    if order.call == "cancel" and fact.status != "cancelled":
        yield f"it is {fact.status}"


def _answers(order: Order) -> str:
    """What the order was answered, call by call, so that the report of a run tells what its journal knows."""
    known = (f"{each.at:.1f} s {each.problem or each.status or each.body.get('lost')}" for each in order.answers)
    return f"{order.call} {', '.join(known)}"


def _is_final(answer: Answer) -> bool:
    return answer.verdict is Verdict.OK and answer.status != 202


def _name(order: Order) -> str:
    return f"order {order.number} ({order.call} by buyer {order.buyer})"
