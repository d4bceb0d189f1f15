"""The ledger in double entry: each movement of money is posted once and in balance, and no user can change it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config.settings import Settings
from db.engine import open_engine
from db.payment import attempts, late_payments, refunds
from db.payment.attempts import Attempt, AttemptState
from db.payment.refunds import Try, TryState
from domain.domain_events import PaymentRefunded, PaymentVoided
from tests.db.test_attempts import opened, reach, telling
from tests.workers.conftest import ServiceDatabase

AUTHORIZED, CAPTURED, DECLINED = AttemptState.AUTHORIZED, AttemptState.CAPTURED, AttemptState.DECLINED
VOIDED, REFUNDED, LEFT = AttemptState.VOIDED, AttemptState.REFUNDED, AttemptState.LEFT
PRICE = 5000


@pytest.fixture
async def payment(shared_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(shared_database("payment"), serves_callers=False)
    yield engine
    await engine.dispose()


async def moved(engine: AsyncEngine, *states: AttemptState) -> Attempt:
    """An attempt that went this way."""
    attempt = await opened(engine)
    for state in states:
        assert await reach(engine, attempt, state)
    return attempt


async def kinds(engine: AsyncEngine, attempt: Attempt) -> list[str]:
    statement = "SELECT kind FROM ledger_transactions WHERE booking_id = :id ORDER BY id"
    async with engine.connect() as connection:
        return list((await connection.execute(text(statement), {"id": attempt.booking_id})).scalars())


async def balances(engine: AsyncEngine, attempt: Attempt) -> dict[str, int]:
    """What each account has of a booking; those at zero are left out."""
    statement = """
        SELECT account, sum(amount)::bigint FROM ledger_transactions JOIN ledger_entries ON transaction_id = id
        WHERE booking_id = :id GROUP BY account HAVING sum(amount) <> 0
    """
    async with engine.connect() as connection:
        balances = await connection.execute(text(statement), {"id": attempt.booking_id})
        return dict(balances.all())


RESERVED = {"provider_holds": PRICE, "customer_holds": -PRICE}
TAKEN = {"provider_clearing": PRICE, "booking_revenue": -PRICE}
GIVEN_BACK = {"booking_revenue": -PRICE, "refunds": PRICE}
WAYS: list[tuple[tuple[AttemptState, ...], list[str], dict[str, int]]] = [
    ((), [], {}),
    ((DECLINED,), [], {}),
    ((VOIDED,), [], {}),
    ((AUTHORIZED,), ["authorized"], RESERVED),
    ((AUTHORIZED, VOIDED), ["authorized", "voided"], {}),
    ((AUTHORIZED, DECLINED), ["authorized", "voided"], {}),
    ((AUTHORIZED, LEFT), ["authorized"], RESERVED),
    ((AUTHORIZED, CAPTURED), ["authorized", "captured"], TAKEN),
    ((CAPTURED,), ["authorized", "captured"], TAKEN),
    ((AUTHORIZED, CAPTURED, REFUNDED), ["authorized", "captured", "refunded"], GIVEN_BACK),
    ((AUTHORIZED, REFUNDED), ["authorized", "captured", "refunded"], GIVEN_BACK),
]
"""Each way of an attempt, what is booked of it, and where the money is then."""


@pytest.mark.parametrize(("way", "booked", "left"), WAYS, ids=["-".join(way) or "open" for way, _, _ in WAYS])
async def test_each_step_of_a_payment_is_booked_with_it(
    payment: AsyncEngine, way: tuple[AttemptState, ...], booked: list[str], left: dict[str, int]
) -> None:
    attempt = await moved(payment, *way)
    assert (await kinds(payment, attempt), await balances(payment, attempt)) == (booked, left)


@pytest.mark.parametrize("state", [AUTHORIZED, CAPTURED, VOIDED, REFUNDED])
async def test_a_step_that_a_crash_rolled_back_is_not_booked_and_its_repetition_is_booked_once(
    payment: AsyncEngine, state: AttemptState
) -> None:
    attempt = await moved(payment, *((AUTHORIZED,) if state is not AUTHORIZED else ()))
    before = await kinds(payment, attempt)
    async with payment.connect() as connection:  # dead after the posting, before the commit
        await attempts.reach(connection, attempt, state, telling(attempt, state))
    assert await kinds(payment, attempt) == before
    assert await reach(payment, attempt, state)
    after = await kinds(payment, attempt)
    assert await reach(payment, attempt, state) is None  # dead after the commit: asked for once more
    assert await kinds(payment, attempt) == after
    assert len(set(after)) == len(after)


async def test_two_workers_who_note_the_same_step_at_once_book_it_once(payment: AsyncEngine) -> None:
    attempt = await opened(payment)
    noted = await asyncio.gather(*(reach(payment, attempt, CAPTURED) for _ in range(5)))
    assert len([each for each in noted if each]) == 1
    assert await kinds(payment, attempt) == ["authorized", "captured"]


async def a_try(connection: AsyncConnection, attempt: Attempt, amount: int) -> Try:
    [given] = await refunds.open_tries(connection, uuid4(), attempt.booking_id, 1, amount)
    return given


async def test_a_refund_is_booked_when_it_has_succeeded_and_not_before(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    async with payment.begin() as connection:
        given = await a_try(connection, attempt, 2000)
        await refunds.note(connection, given, TryState.PENDING)
    assert await balances(payment, attempt) == TAKEN
    for _ in range(2):
        async with payment.begin() as connection:
            await refunds.note(connection, given, TryState.SUCCEEDED)
    assert await balances(payment, attempt) == {"provider_clearing": 3000, "booking_revenue": -PRICE, "refunds": 2000}


async def test_a_refund_that_failed_is_not_booked(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    async with payment.begin() as connection:
        await refunds.note(connection, await a_try(connection, attempt, 2000), TryState.FAILED, "no_such_card")
    assert await balances(payment, attempt) == TAKEN


async def test_a_refund_that_fails_after_success_is_reversed_once_and_its_attempt_reopens(
    payment: AsyncEngine,
) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    async with payment.begin() as connection:
        given = await a_try(connection, attempt, PRICE)
        await refunds.note(connection, given, TryState.SUCCEEDED)
    for _ in range(2):
        async with payment.begin() as connection:
            await refunds.take_back(connection, given, "expired_or_canceled_card")
    assert await kinds(payment, attempt) == ["authorized", "captured", "refunded", "refund_failed"]
    assert await balances(payment, attempt) == TAKEN

    async with payment.begin() as connection:
        [again] = await refunds.open_tries(connection, given.refund_id, given.booking_id, 2, PRICE)
        await refunds.note(connection, again, TryState.SUCCEEDED)
    assert await balances(payment, attempt) == GIVEN_BACK
    assert again.number == 2


async def test_refunds_ticket_by_ticket_give_back_what_was_taken_and_no_more(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    for amount in (2000, 3000):  # the second one closes the attempt
        async with payment.begin() as connection:
            await refunds.note(connection, await a_try(connection, attempt, amount), TryState.SUCCEEDED)
    assert await kinds(payment, attempt) == ["authorized", "captured", "refunded", "refunded"]
    assert await balances(payment, attempt) == GIVEN_BACK


async def test_what_is_given_back_after_a_partial_refund_is_the_rest(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    async with payment.begin() as connection:
        await refunds.note(connection, await a_try(connection, attempt, 2000), TryState.SUCCEEDED)
    assert await reach(payment, attempt, REFUNDED)
    assert await balances(payment, attempt) == GIVEN_BACK


async def with_intent(engine: AsyncEngine, *states: AttemptState) -> Attempt:
    attempt = await opened(engine)
    async with engine.begin() as connection:
        noted = await attempts.note_intent(connection, attempt, f"pi_{uuid4().hex}")
    assert noted
    for state in states:
        noted = await reach(engine, noted, state)
        assert noted
    return noted


async def test_late_money_that_is_given_back_is_booked_as_taken_and_given_back(payment: AsyncEngine) -> None:
    attempt = await with_intent(payment, LEFT)
    for _ in range(2):
        async with payment.begin() as connection:
            await late_payments.close(connection, attempt, REFUNDED, PaymentRefunded(**attempt.facts()))
    assert await kinds(payment, attempt) == ["authorized", "captured", "refunded"]


async def test_a_hold_of_a_payment_that_was_left_is_let_go_when_no_money_turns_up(payment: AsyncEngine) -> None:
    attempt = await with_intent(payment, AUTHORIZED, LEFT)
    async with payment.begin() as connection:
        await late_payments.settle(connection, attempt, None)
    assert await balances(payment, attempt) == {}


async def test_late_money_is_reserved_again_after_it_was_let_go(payment: AsyncEngine) -> None:
    attempt = await with_intent(payment, AUTHORIZED, LEFT)
    async with payment.begin() as connection:
        await late_payments.settle(connection, attempt, None)
        await late_payments.watch(connection, attempt)
        assert await late_payments.take_up(connection, attempt)
    assert await reach(payment, attempt, CAPTURED)
    assert await kinds(payment, attempt) == ["authorized", "voided", "authorized", "captured"]
    assert await balances(payment, attempt) == TAKEN


async def test_late_money_that_was_only_reserved_leaves_no_trace_when_it_is_let_go(payment: AsyncEngine) -> None:
    attempt = await with_intent(payment, LEFT)
    async with payment.begin() as connection:
        await late_payments.close(connection, attempt, VOIDED, PaymentVoided(**attempt.facts()))
    assert await balances(payment, attempt) == {}


HEADER = (
    "INSERT INTO ledger_transactions (provider, reference, kind, booking_id, attempt)"
    " VALUES ('stripe', 'x', 'captured', uuidv7(), 1) RETURNING id"
)
WRONG = {
    "unbalanced": f"WITH t AS ({HEADER}) INSERT INTO ledger_entries SELECT id, 'refunds', 'EUR', 1 FROM t",
    "in two currencies": f"WITH t AS ({HEADER}) INSERT INTO ledger_entries SELECT id, a, c, n FROM t,"
    " (VALUES ('refunds', 'EUR', 1), ('provider_clearing', 'USD', -1)) AS e(a, c, n)",
    "of an unknown account": f"WITH t AS ({HEADER}) INSERT INTO ledger_entries SELECT id, a, 'EUR', n FROM t,"
    " (VALUES ('cash', 1), ('refunds', -1)) AS e(a, n)",
}


@pytest.mark.parametrize("statement", WRONG.values(), ids=WRONG)
async def test_the_database_refuses_what_is_not_double_entry(payment: AsyncEngine, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"balance|account_check"):
        async with payment.begin() as connection:
            await connection.execute(text(statement))


@pytest.mark.parametrize("change", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize(
    ("table", "column"), [("ledger_transactions", "attempt = 2"), ("ledger_entries", "amount = 1")]
)
async def test_no_user_changes_a_posting_not_even_a_superuser(
    payment: AsyncEngine, change: str, table: str, column: str
) -> None:
    await moved(payment, AUTHORIZED)
    with pytest.raises(DBAPIError, match="append-only"):
        async with payment.begin() as connection:
            await connection.execute(text(change.format(table, column)))


@pytest.mark.parametrize(
    "statement",
    [
        HEADER,
        "INSERT INTO ledger_entries VALUES (1, 'refunds', 'EUR', 1)",
        "UPDATE ledger_entries SET amount = 1",
        "DELETE FROM ledger_transactions",
        "UPDATE ledger_routes SET sign = -sign",
        "SELECT book('stripe', 'x', 'refunded', uuidv7(), 1, 'EUR', 1)",
    ],
)
def test_the_application_can_read_the_ledger_and_not_write_it(settings: Settings, statement: str) -> None:
    url = settings.database_url("payment").replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


async def fee(engine: AsyncEngine, attempt: Attempt, under: str, amount: int, currency: str = "EUR") -> Any:
    async with engine.begin() as connection:
        values = {"under": under, "id": attempt.booking_id, "currency": currency, "amount": amount}
        await connection.execute(text("SELECT book_fee('stripe', :under, :id, 1, :currency, :amount)"), values)


async def test_a_fee_is_booked_once_however_often_it_is_reported(payment: AsyncEngine) -> None:
    attempt, under = await moved(payment, AUTHORIZED, CAPTURED), f"txn_{uuid4().hex}"
    for _ in range(2):
        await fee(payment, attempt, under, 100)
    assert await balances(payment, attempt) == TAKEN | {"provider_clearing": PRICE - 100, "provider_fees": 100}


async def test_a_fee_does_not_make_a_refund_smaller(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    await fee(payment, attempt, f"txn_{uuid4().hex}", 100)
    assert await reach(payment, attempt, REFUNDED)
    assert await balances(payment, attempt) == GIVEN_BACK | {"provider_clearing": -100, "provider_fees": 100}
