"""Reconciliation finds every difference between ledger and provider, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payment.reconciliation import DaysDue
from activities.payment.refunds import GiveBack, RefundActivities
from adapters.payment.iyzico.gateway import IyzicoGateway
from adapters.payment.payu.gateway import PayUGateway
from adapters.payment.stripe.gateway import StripeGateway
from db.engine import open_engine
from domain.money import Money
from domain.payment_gateway import PaymentGateway
from domain.payments import ProviderRefundState
from domain.reconciliation import DifferenceKind, ReconcileDay
from sandbox.payu.points import POINTS
from sandbox.testing import API_KEY, SandboxProcess
from tests.http_client import http_client
from tests.sandbox import iyzico_shop
from tests.scale import sample
from tests.scenarios.reconciliation_harness import PRICE, ReconciliationHarness, begin_well_before_midnight, step, today
from tests.workers.conftest import ServiceDatabase, databases, service_database, templates

__all__ = ["databases", "service_database", "templates"]

POINT = POINTS["300746"]
MISSING_HERE, MISSING_THERE = DifferenceKind.MISSING_HERE, DifferenceKind.MISSING_THERE
AMOUNT, CURRENCY, STATE = DifferenceKind.AMOUNT, DifferenceKind.CURRENCY, DifferenceKind.STATE

Test = TypeVar("Test", bound=Callable[..., Any])


def everywhere(test: Test) -> Test:
    """Run the test at all providers; `make test` chooses one."""
    return _at(test, ["stripe", "iyzico", "payu"])


def with_a_list(test: Test) -> Test:
    """Run the test at all providers that list their payments; `make test` chooses one."""
    return _at(test, ["stripe", "iyzico"])


def _at(test: Test, providers: list[str]) -> Test:
    chosen = sample(providers, 1, of=test.__name__)
    marked: Test = pytest.mark.parametrize("harness", chosen, indirect=True)(test)
    return marked


at_stripe = pytest.mark.parametrize("harness", ["stripe"], indirect=True)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture(autouse=True)
async def one_day() -> None:
    await begin_well_before_midnight()


@pytest.fixture
async def engine(service_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(service_database("payment"), serves_callers=False)
    yield opened
    await opened.dispose()


@pytest.fixture
async def gateways(sandbox: SandboxProcess) -> AsyncIterator[Mapping[str, PaymentGateway]]:
    stripe = StripeGateway(API_KEY, base_url=sandbox.url)
    iyzico = IyzicoGateway(iyzico_shop.API_KEY, iyzico_shop.SECRET_KEY, base_url=sandbox.url)
    payu = PayUGateway(
        POINT.id,
        POINT.client_secret,
        notify_url=f"{sandbox.url}/nowhere",
        validity_seconds=900,
        base_url=f"{sandbox.url}/payu",
    )
    yield {"stripe": stripe, "iyzico": iyzico, "payu": payu}
    for gateway in (stripe, iyzico, payu):
        await gateway.close()


@pytest.fixture
def harness(
    engine: AsyncEngine, gateways: Mapping[str, PaymentGateway], request: pytest.FixtureRequest
) -> ReconciliationHarness:
    provider, *price = request.param if isinstance(request.param, tuple) else (request.param,)
    return ReconciliationHarness(engine, gateways, provider, *price)


PART = {"ISK": 11, "MGA": 2500, "KWD": 1230}
"""What is given back of a booking; of MGA and KWD steps that Stripe takes."""

ODD_PRICES = [
    Money(amount=33, currency="ISK"),
    Money(amount=10_000, currency="MGA"),
    Money(amount=12_340, currency="KWD"),
]
in_odd_units = pytest.mark.parametrize(
    "harness",
    [
        "stripe",
        "iyzico",
        "payu",
        *(pytest.param(("stripe", price), id=price.currency) for price in sample(ODD_PRICES, 1, of="odd units")),
    ],
    indirect=True,
)
"""At each provider, and where Stripe counts in other units than we do."""


@in_odd_units
async def test_a_ledger_that_matches_the_provider_shows_no_difference(harness: ReconciliationHarness) -> None:
    held, sold, partly, undone, let_go = (
        await harness.authorized(),
        await harness.sold(),
        await harness.sold(),
        await harness.sold(),
        await harness.authorized(),
    )
    await harness.refunded(partly, PART.get(harness.price.currency, 2000))
    await harness.undone(undone)
    await harness.undone(let_go)
    assert await harness.differ(held, sold, partly, undone, let_go) == []


@with_a_list
async def test_a_capture_for_an_unknown_booking_is_missing_in_the_ledger(
    harness: ReconciliationHarness,
) -> None:
    booking = uuid4()
    await harness.taken_there(booking)
    [found] = await harness.differences(booking)
    assert found.kind is MISSING_HERE
    assert "captured 5000 EUR" in found.theirs


@with_a_list
async def test_a_hold_for_an_unknown_booking_is_missing_in_the_ledger(
    harness: ReconciliationHarness,
) -> None:
    booking = uuid4()
    await harness.reserved_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]


@with_a_list
async def test_a_second_hold_for_a_paid_booking_is_missing_in_the_ledger(
    harness: ReconciliationHarness,
) -> None:
    """The booking's own payment must not hide it."""
    booking = await harness.sold()
    await harness.reserved_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]


@with_a_list
async def test_a_second_capture_for_a_booking_is_missing_in_the_ledger(harness: ReconciliationHarness) -> None:
    booking = await harness.sold()
    await harness.taken_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]


@everywhere
async def test_an_attempt_with_a_lost_posting_is_reported_as_missing_or_different(
    harness: ReconciliationHarness,
) -> None:
    booking = await harness.authorized()
    attempt = await harness.attempt(booking)
    await harness.gateway.capture(str(attempt.intent_id), key=attempt.key("capture"))
    assert await harness.differ(booking) == [STATE]  # reserved here, taken there


@everywhere
async def test_a_capture_in_the_ledger_alone_is_missing_at_the_provider(harness: ReconciliationHarness) -> None:
    intent = {"stripe": "pi_nobody", "iyzico": str(uuid4()), "payu": "NOBODY261123GUEST000P01"}[harness.provider]
    booking = await harness.booked_here(intent)
    assert await harness.differ(booking) == [MISSING_THERE]


@everywhere
async def test_a_capture_that_the_provider_never_made_is_another_state(harness: ReconciliationHarness) -> None:
    booking = uuid4()
    intent = await harness.reserved_there(booking)
    await harness.booked_here(intent.id, booking=booking)
    assert await harness.differ(booking) == [STATE]


@everywhere
async def test_a_refund_that_was_made_by_hand_at_the_provider_is_another_amount(harness: ReconciliationHarness) -> None:
    booking = await harness.sold()
    await harness.given_back_there(booking, 1500)
    [found] = await harness.differences(booking)
    assert (found.kind, found.ours) == (AMOUNT, "captured 5000 EUR")
    assert "refunded 1500" in found.theirs


@at_stripe
async def test_a_refund_in_the_providers_dashboard_matches_after_an_operator_resolves(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    """It has no metadata of the platform, and is matched by its intent."""
    booking, refund = await harness.sold(), uuid4()
    form = {"payment_intent": str((await harness.attempt(booking)).intent_id)}
    async with http_client(sandbox.url) as dashboard:
        made = await dashboard.post("/v1/refunds", data=form, headers={"Authorization": f"Bearer {API_KEY}"})
    assert await harness.differ(booking) == [AMOUNT]
    strangers = "SELECT subject FROM reconciliation_differences WHERE kind = 'missing_here' AND theirs LIKE 'refunded%'"
    assert (made.status_code, await harness.rows(strangers)) == (200, [])

    order = GiveBack(refund_id=refund, booking_id=booking, amount=PRICE.amount, number=4)
    for _ in range(2):
        await step(harness.refunds.note_by_hand, order)

    assert await harness.differ(booking) == []
    state = "SELECT state FROM attempts WHERE booking_id = :id"
    assert [row.state for row in await harness.rows(state, id=booking)] == ["refunded"]


@everywhere
async def test_a_wrong_amount_is_found(harness: ReconciliationHarness) -> None:
    booking = uuid4()
    intent = await harness.taken_there(booking)
    await harness.booked_here(intent.id, Money(amount=4000, currency="EUR"), booking)
    assert await harness.differ(booking) == [AMOUNT]


@everywhere
async def test_a_wrong_currency_is_found(harness: ReconciliationHarness) -> None:
    booking = uuid4()
    intent = await harness.taken_there(booking)
    await harness.booked_here(intent.id, Money(amount=PRICE.amount, currency="USD"), booking)
    assert await harness.differ(booking) == [CURRENCY]


@at_stripe
async def test_a_hold_that_expired_at_the_bank_is_a_different_state(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    booking = await harness.authorized()
    [intent] = sandbox.intents(str(booking))
    sandbox.call("POST", f"/_sandbox/intents/{intent['id']}/expire")
    assert await harness.differ(booking) == [STATE]


@at_stripe
async def test_a_pending_refund_is_no_difference_but_a_failed_one_is(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    booking, refund = await harness.sold(), uuid4()
    sandbox.fault("processing", str(booking), operation="refund")
    assert (await harness.refunded(booking, 2000, refund=refund)).state is ProviderRefundState.PENDING
    assert await harness.differ(booking) == []
    [intent] = sandbox.intents(str(booking))
    [there] = sandbox.call("GET", f"/_sandbox/intents/{intent['id']}/refunds")["refunds"]
    # Our side hears of a success, and then the provider takes it back.
    await harness.rows("UPDATE refunds SET state = 'succeeded', settled_at = now() WHERE refund_id = :id", id=refund)
    assert await harness.differ(booking) == []
    sandbox.call("POST", f"/_sandbox/refunds/{there['id']}/settle", {"outcome": "failed"})
    assert await harness.differ(booking) == [AMOUNT]


@at_stripe
async def test_a_payment_that_names_no_booking_is_shown_under_the_providers_reference(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    intent = {"booking_id": "a-checkout-of-another-shop", "amount": 700, "currency": "eur", "end": "captured"}
    sandbox.call("POST", "/_sandbox/intents/import", {"intents": [intent]})
    assert (await harness.reconciled()).count
    found = await harness.rows(
        "SELECT kind, theirs FROM reconciliation_differences WHERE subject LIKE 'txn_%' AND theirs LIKE 'captured%'"
    )
    assert [tuple(row) for row in found] == [(MISSING_HERE, "captured 700 EUR")]


@at_stripe
async def test_a_list_of_many_pages_is_read_to_its_end(harness: ReconciliationHarness, sandbox: SandboxProcess) -> None:
    bookings = [uuid4() for _ in range(230)]
    wanted = [{"booking_id": str(id), "amount": 700, "currency": "eur", "end": "captured"} for id in bookings]
    sandbox.call("POST", "/_sandbox/intents/import", {"intents": wanted})
    await step(harness.steps.fetch_list, ReconcileDay(provider="stripe", day=today()))
    ids = "SELECT DISTINCT booking_id FROM provider_movements"
    assert set(bookings) <= {row.booking_id for row in await harness.rows(ids)}


@pytest.mark.parametrize("harness", ["iyzico"], indirect=True)
async def test_a_report_of_several_pages_is_read_to_its_end(harness: ReconciliationHarness) -> None:
    bookings = [await harness.sold() for _ in range(6)]  # two lines each, ten on a page
    result = await harness.reconciled()
    assert result.movements is not None
    assert result.movements > 10
    assert await harness.differ(*bookings) == []


async def fees(harness: ReconciliationHarness, booking: UUID) -> list[tuple[str, int]]:
    statement = """
        SELECT account, amount FROM ledger_transactions JOIN ledger_entries ON transaction_id = id
        WHERE booking_id = :id AND kind = 'fee' ORDER BY account
    """
    return [(row.account, row.amount) for row in await harness.rows(statement, id=booking)]


@pytest.mark.parametrize(("harness", "fee"), [("stripe", 100), ("iyzico", 170)], indirect=["harness"])
async def test_a_providers_fee_is_posted_once_over_repeated_reconciliations(
    harness: ReconciliationHarness, fee: int
) -> None:
    booking = await harness.sold()
    for _ in range(2):
        assert await harness.differ(booking) == []
    assert await fees(harness, booking) == [("provider_clearing", -fee), ("provider_fees", fee)]


@pytest.mark.parametrize("harness", sample(["stripe", "iyzico", "payu"], 1, of="fixed differences"), indirect=True)
async def test_a_fixed_difference_is_resolved_by_the_next_reconciliation(harness: ReconciliationHarness) -> None:
    booking = await harness.authorized()
    attempt = await harness.attempt(booking)
    await harness.gateway.capture(str(attempt.intent_id), key=attempt.key("capture"))
    assert await harness.differ(booking) == [STATE]
    assert await step(harness.payment.capture, booking) is None  # the step gets the response at last
    assert await harness.differ(booking) == []
    kept = "SELECT kind, resolved_at IS NOT NULL AS is_resolved FROM reconciliation_differences WHERE subject = :id"
    assert [tuple(row) for row in await harness.rows(kept, id=str(booking))] == [("state", True)]


@at_stripe
async def test_a_fetch_with_a_killed_worker_continues_at_its_page(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    booking = uuid4()
    await harness.reserved_there(booking)
    tried = ActivityEnvironment()
    tried.info = replace(tried.info, heartbeat_details=["intents"])
    await tried.run(harness.steps.fetch_list, ReconcileDay(provider="stripe", day=today()))
    kinds = {row.kind for row in await harness.rows("SELECT DISTINCT kind FROM provider_movements")}
    assert kinds == {"held"}


@at_stripe
async def test_a_day_is_due_until_it_was_reconciled_after_its_end(harness: ReconciliationHarness) -> None:
    yesterday = today() - timedelta(days=1)
    due = await step(harness.steps.days_due, DaysDue(provider="stripe", until=yesterday))
    assert due[0] == yesterday
    assert len(due) == 14
    await step(harness.steps.find_differences, ReconcileDay(provider="stripe", day=yesterday))
    assert await step(harness.steps.days_due, DaysDue(provider="stripe", until=yesterday)) == due[1:]
    await step(harness.steps.find_differences, ReconcileDay(provider="stripe", day=today()))  # it has not ended yet
    assert await step(harness.steps.days_due, DaysDue(provider="stripe", until=today())) == [today(), *due[1:-1]]


@pytest.mark.parametrize("harness", sample(["iyzico", "payu"], 1, of="the other provider"), indirect=True)
async def test_a_refund_part_is_paid_while_the_provider_of_another_part_is_down(
    harness: ReconciliationHarness, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway], nowhere: StripeGateway
) -> None:
    """The seat was bought at Stripe and exchanged at the other provider; both match in the end."""
    at_stripe, refund = ReconciliationHarness(engine, gateways, "stripe"), uuid4()
    booking = await at_stripe.sold()
    await harness.exchanged(booking)
    order = GiveBack(refund_id=refund, booking_id=booking, amount=2 * PRICE.amount, number=1)

    with pytest.raises(ApplicationError, match="Stripe"):
        await step(RefundActivities(engine, {**gateways, "stripe": nowhere}).give_refund, order)
    tries = "SELECT attempt, state FROM refunds WHERE refund_id = :id ORDER BY number"
    assert [tuple(row) for row in await harness.rows(tries, id=refund)] == [(1, "open"), (2, "succeeded")]

    assert (await step(harness.refunds.give_refund, order)).state is ProviderRefundState.SUCCEEDED
    for provider in (harness, at_stripe):
        assert await provider.differ(booking) == []


@pytest.mark.parametrize("harness", ["payu"], indirect=True)
async def test_which_payment_gives_a_part_is_not_decided_while_a_provider_is_away(
    harness: ReconciliationHarness, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway], nowhere: StripeGateway
) -> None:
    """Else the refund would count on money that the provider may have given back itself."""
    at_stripe, refund = ReconciliationHarness(engine, gateways, "stripe"), uuid4()
    booking = await at_stripe.sold()
    await harness.exchanged(booking)
    order = GiveBack(refund_id=refund, booking_id=booking, amount=PRICE.amount, number=1)
    tries = "SELECT attempt, state FROM refunds WHERE refund_id = :id ORDER BY number"

    with pytest.raises(ApplicationError, match="Stripe"):
        await step(RefundActivities(engine, {**gateways, "stripe": nowhere}).give_refund, order)
    assert await harness.rows(tries, id=refund) == []

    assert (await step(harness.refunds.give_refund, order)).state is ProviderRefundState.SUCCEEDED
    assert [tuple(row) for row in await harness.rows(tries, id=refund)] == [(1, "succeeded")]


@pytest.fixture
async def nowhere() -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(API_KEY, base_url="http://127.0.0.1:9")
    yield gateway
    await gateway.close()
