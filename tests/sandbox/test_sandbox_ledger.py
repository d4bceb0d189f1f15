"""The provider's ledger balances, matches the intents, survives a kill, and can be read page by page."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.intents import AmountExceeded, Intent, Intents, WrongState
from sandbox.ledger import Ledger
from sandbox.store import Store
from sandbox.stripe.api import IDS
from sandbox.stripe.cards import failure
from sandbox.testing import ControlError, SandboxProcess
from tests.sandbox.shop import Shop
from tests.scale import FULL

AMOUNT = 1000
KILLED_AFTER = 20
AMOUNTS = st.one_of(st.none(), st.integers(1, AMOUNT + 1))
STEP_NAMES = ["authorize", "decline", "challenge", "process", "settle", "refuse", "void", "expire"]
STEPS = st.one_of(
    st.tuples(st.sampled_from(["capture", "refund"]), AMOUNTS), st.tuples(st.sampled_from(STEP_NAMES), st.none())
)


def steps_of(intents: Intents, intent_id: str) -> dict[str, Callable[[int | None], object]]:
    def intent() -> Intent:
        found = intents.find(intent_id)
        assert found is not None
        return found

    declined = failure("generic_decline")
    return {
        "authorize": lambda _: intents.authorize(intent(), "pm_card_visa"),
        "decline": lambda _: intents.decline(intent(), "pm_card_visa", declined),
        "challenge": lambda _: intents.challenge(intent(), "pm_card_visa", None),
        "process": lambda _: intents.process(intent(), "pm_card_visa"),
        "settle": lambda _: intents.settle(intent(), None),
        "refuse": lambda _: intents.settle(intent(), declined),
        "capture": lambda amount: intents.capture(intent(), amount),
        "void": lambda _: intents.void(intent()),
        "expire": lambda _: intents.expire(intent()),
        "refund": lambda amount: intents.refund(intent(), amount, None, {}),
    }


@settings(max_examples=150 if FULL else 50, deadline=None)
@given(manual=st.booleans(), sequence=st.lists(STEPS, max_size=12))
def test_no_sequence_of_calls_captures_or_refunds_too_much(
    manual: bool, sequence: list[tuple[str, int | None]]
) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        ledger = Ledger(store)
        intents = Intents(store, ledger, "stripe", IDS, failure("generic_decline"))
        intent_id = intents.create(amount=AMOUNT, currency="eur", manual_capture=manual).id
        for name, amount in sequence:
            try:
                with store.transaction():
                    steps_of(intents, intent_id)[name](amount)
            except (WrongState, AmountExceeded):
                continue
        intent = intents.find(intent_id)
        balances = {row["account"]: row["balance"] for row in ledger.balances()}
        store.close()
    assert intent is not None
    assert 0 <= intent.refunded <= intent.captured <= intent.authorized <= AMOUNT
    assert sum(balances.values()) == 0
    assert balances.get("held", 0) == intent.held
    assert balances.get("merchant", 0) == intent.captured - intent.refunded


def test_every_movement_is_written_once_with_both_its_sides(shop: Shop) -> None:
    taken = shop.capture(shop.hold().id, 3000)
    shop.refund(taken.id, 1000)
    shop.api.payment_intents.cancel(shop.hold(700).id)
    entries = shop.sandbox.ledger(shop.booking_id)["entries"]
    assert [(each["kind"], each["amount"], each["debit"], each["credit"]) for each in entries] == [
        ("hold", 5000, "held", "cardholder"),
        ("capture", 3000, "merchant", "held"),
        ("release", 2000, "cardholder", "held"),
        ("refund", 1000, "cardholder", "merchant"),
        ("hold", 700, "held", "cardholder"),
        ("void", 700, "cardholder", "held"),
    ]


def test_the_ledger_entries_of_all_bookings_sum_to_zero(shop: Shop) -> None:
    shop.taken()
    totals: dict[str, int] = {}
    for row in shop.sandbox.call("GET", "/_sandbox/balances")["balances"]:
        totals[row["currency"]] = totals.get(row["currency"], 0) + row["balance"]
    assert set(totals.values()) == {0}


def test_an_intent_lists_the_keys_of_its_calls(shop: Shop) -> None:
    keys = [str(uuid4()) for _ in range(3)]
    intent = shop.open(key=keys[0])
    shop.confirm(intent.id, key=keys[1])
    shop.capture(intent.id, key=keys[2])
    (summary,) = shop.sandbox.intents(shop.booking_id)
    assert (summary["state"], summary["keys"]) == ("captured", keys)


def test_the_ledger_can_be_read_by_many_bookings_and_page_by_page(sandbox: SandboxProcess) -> None:
    shops = [Shop(sandbox) for _ in range(5)]
    intents = [shop.taken().id for shop in shops]
    named = sandbox.call("POST", "/_sandbox/ledger", {"bookings": [shop.booking_id for shop in shops]})
    assert {intent["id"] for intent in named["intents"]} == set(intents)
    assert len(named["entries"]) == 10
    for path, field in (("ledger", "entries"), ("intents", "intents")):
        assert set(intents) <= {each.get("intent_id", each.get("id")) for each in walk(sandbox, path, field)}


def walk(sandbox: SandboxProcess, path: str, field: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    since: int | None = 0
    while since is not None:
        page = sandbox.call("GET", f"/_sandbox/{path}?since={since}&limit=3")
        found += page[field]
        since = page["next_since"]
    return found


def test_completed_effects_survive_a_kill(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox)
    key = str(uuid4())
    held, taken = shop.hold(key=key), shop.taken(900)
    shop.refund(taken.id, 400)
    before = own_sandbox.ledger(shop.booking_id)
    own_sandbox.kill()
    own_sandbox.start()
    assert own_sandbox.ledger(shop.booking_id) == before
    assert shop.hold(key=key).id == held.id
    assert shop.capture(held.id).status == "succeeded"


def test_a_kill_in_the_middle_loses_no_acknowledged_hold_and_doubles_none(own_sandbox: SandboxProcess) -> None:
    shops = {str(uuid4()): Shop(own_sandbox) for _ in range(200 if FULL else 80)}
    acknowledged: dict[str, str] = {}

    def hold(key: str) -> None:
        acknowledged[key] = shops[key].hold(key=key).id
        if len(acknowledged) == KILLED_AFTER:
            own_sandbox.kill()

    with ThreadPoolExecutor(4) as pool:
        failures = [call.exception() for call in [pool.submit(hold, key) for key in shops]]
    assert any(isinstance(failure, stripe.APIConnectionError) for failure in failures)
    own_sandbox.start()
    for key, shop in shops.items():
        repeated = shop.hold(key=key).id
        assert acknowledged.get(key) in (None, repeated)
        assert shop.money() == {"authorized": 5000, "captured": 0, "released": 0, "refunded": 0, "held": 5000}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/_sandbox/ledger?since=soon", None, 400),
        ("GET", "/_sandbox/intents?limit=0", None, 400),
        ("GET", "/_sandbox/requests?colour=blue", None, 400),
        ("POST", "/_sandbox/ledger", {"bookings": "all"}, 400),
        ("POST", "/_sandbox/intents/pi_nobody/expire", None, 404),
        ("DELETE", "/_sandbox/faults/999999", None, 404),
        ("GET", "/_sandbox/nothing", None, 404),
    ],
)
def test_a_wrong_control_call_is_answered_with_the_mistake(
    sandbox: SandboxProcess, method: str, path: str, body: object, status: int
) -> None:
    with pytest.raises(ControlError) as refused:
        sandbox.call(method, path, body)
    assert refused.value.status == status
    assert refused.value.body["error"]["message"]


def test_an_intent_without_a_hold_cannot_expire(shop: Shop) -> None:
    with pytest.raises(ControlError) as refused:
        shop.sandbox.call("POST", f"/_sandbox/intents/{shop.open().id}/expire")
    assert (refused.value.status, refused.value.body["error"]["state"]) == (409, "open")
    with pytest.raises(stripe.InvalidRequestError):
        shop.capture(shop.open().id)
