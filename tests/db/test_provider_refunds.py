"""What a provider gave back without our request is counted once, and only what is left is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import open_engine
from db.payment import attempts, provider_refunds, refunds
from db.payment.attempts import Attempt
from db.payment.refunds import Try, TryState
from db.reservation.exchanges import exchanges
from db.reservation.refunds import by_provider
from db.reservation.refunds import refunds as returned
from domain.bookings import Booking, BookingStatus
from domain.domain_events import BookingRefunded
from domain.payments import RefundByProvider
from domain.rebuilding import rebuild
from domain.refunds import RefundCause, RefundRequest
from tests.db.booking_steps import claim, confirm, find, history, move, on_sale
from tests.db.sharing import reservation_url
from tests.db.test_attempts import reach
from tests.db.test_ledger import AUTHORIZED, CAPTURED, GIVEN_BACK, PRICE, balances, moved
from tests.requests import exchange_request
from tests.workers.conftest import ServiceDatabase

__all__ = ["reservation_url"]


@pytest.fixture
async def payment(shared_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(shared_database("payment"), serves_callers=False)
    yield engine
    await engine.dispose()


async def learn(engine: AsyncEngine, attempt: Attempt, refunded: int, before: int | None = None) -> list[int]:
    """The amounts of all refunds by the provider, after it says what it has refunded in all."""
    async with engine.begin() as connection:
        ours = before if before is not None else await provider_refunds.ours(connection, attempt)
        await provider_refunds.learn(connection, attempt, refunded, ours)
    async with engine.connect() as connection:
        return [made.amount for made in await provider_refunds.of_booking(connection, attempt.booking_id)]


async def tries(
    engine: AsyncEngine, attempt: Attempt, refund_id: UUID, amount: int, number: int = 1, lacking: int = 0
) -> list[Try]:
    async with engine.begin() as connection:
        return await refunds.open_tries(connection, refund_id, attempt.booking_id, number, amount, lacking)


async def note(engine: AsyncEngine, given: Try, state: TryState) -> None:
    async with engine.begin() as connection:
        await refunds.note(connection, given, state)


async def test_only_what_exceeds_our_own_tries_is_the_providers(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    assert await learn(payment, attempt, 0) == []
    assert await learn(payment, attempt, 1000) == [1000]
    assert await learn(payment, attempt, 1000) == [1000]
    [ours] = await tries(payment, attempt, uuid4(), 2000)
    assert await learn(payment, attempt, 1000) == [1000]  # our try may not have arrived
    assert await learn(payment, attempt, 3000) == [1000]  # it has
    await note(payment, ours, TryState.SUCCEEDED)
    assert await learn(payment, attempt, 3500) == [1000, 500]


async def test_a_try_that_fails_after_the_provider_was_asked_is_not_the_providers(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    [ours] = await tries(payment, attempt, uuid4(), 4500)
    async with payment.connect() as connection:
        before = await provider_refunds.ours(connection, attempt)
    await note(payment, ours, TryState.FAILED)
    assert await learn(payment, attempt, 4500, before) == []
    assert await learn(payment, attempt, 0) == []


async def test_learning_at_once_counts_once(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    await asyncio.gather(*(learn(payment, attempt, 1000) for _ in range(4)))
    assert await learn(payment, attempt, 1000) == [1000]


async def test_what_the_provider_gave_back_is_posted_and_closes_the_attempt(payment: AsyncEngine) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    await learn(payment, attempt, PRICE)
    assert await balances(payment, attempt) == GIVEN_BACK
    assert await tries(payment, attempt, uuid4(), PRICE, lacking=PRICE) == []


@pytest.mark.parametrize(
    ("by_itself", "asked", "lacking", "given"),
    [(1000, 5000, 1000, [4000]), (1000, 4000, 0, [4000]), (1000, 5000, 0, []), (1000, 3000, 1000, [3000])],
)
async def test_a_first_try_is_for_what_is_left(
    payment: AsyncEngine, by_itself: int, asked: int, lacking: int, given: list[int]
) -> None:
    attempt = await moved(payment, AUTHORIZED, CAPTURED)
    await learn(payment, attempt, by_itself)
    found = await tries(payment, attempt, uuid4(), asked, lacking=lacking)
    assert [each.amount.amount for each in found] == given


async def test_a_further_try_is_for_what_is_left_by_then(payment: AsyncEngine) -> None:
    attempt, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    [first] = await tries(payment, attempt, refund_id, PRICE)
    await note(payment, first, TryState.FAILED)
    await learn(payment, attempt, 1000)
    [second] = await tries(payment, attempt, refund_id, PRICE, 2, 1000)
    assert (second.number, second.amount.amount, second.is_new) == (2, PRICE - 1000, True)
    await note(payment, second, TryState.FAILED)
    await learn(payment, attempt, PRICE)
    assert await tries(payment, attempt, refund_id, PRICE, 3, PRICE) == []


async def by_hand(
    engine: AsyncEngine, attempt: Attempt, refund_id: UUID, amount: int, accepted_at: datetime | None = None
) -> int:
    async with engine.begin() as connection:
        lacking = provider_refunds.total(await provider_refunds.of_booking(connection, attempt.booking_id))
        of = (connection, refund_id, attempt.booking_id, amount, lacking, None, accepted_at)
        return await refunds.note_by_hand(*of)


async def test_a_refund_that_is_taken_back_has_all_its_tries_again(payment: AsyncEngine) -> None:
    attempt, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    for number, state in enumerate([TryState.FAILED, TryState.FAILED, TryState.SUCCEEDED], start=1):
        [given] = await tries(payment, attempt, refund_id, PRICE, number)
        await note(payment, given, state)
    async with payment.begin() as connection:
        await refunds.take_back(connection, given, "lost_or_stolen_card")
    for number in (1, 2, 3):
        async with payment.connect() as connection:
            assert await refunds.opens_tries(connection, refund_id, number)
        for is_new in (True, False):  # a repeated call only asks
            [again] = await tries(payment, attempt, refund_id, PRICE, number)
            assert (again.number, again.is_new) == (3 + number, is_new)
        await note(payment, again, TryState.FAILED)
        [again] = await tries(payment, attempt, refund_id, PRICE, number)
        assert again.state is TryState.FAILED


@pytest.mark.parametrize(("in_dashboard", "posted"), [(1000, 1000), (500, 1500), (1500, 500), (3000, 0)])
async def test_an_operator_confirms_what_the_dashboard_did_not_give_after_the_first_try(
    payment: AsyncEngine, in_dashboard: int, posted: int
) -> None:
    attempt, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    await learn(payment, attempt, 1000)  # a gift from before
    [first] = await tries(payment, attempt, refund_id, 2000)
    await note(payment, first, TryState.FAILED)
    await learn(payment, attempt, 1000 + in_dashboard)
    for _ in range(2):
        assert await by_hand(payment, attempt, refund_id, 2000) == posted
    async with payment.connect() as connection:
        assert await provider_refunds.ours(connection, attempt) == 1000 + in_dashboard + posted


async def test_of_a_refund_that_was_never_tried_the_dashboards_part_counts_since_it_was_accepted(
    payment: AsyncEngine,
) -> None:
    attempt, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    await learn(payment, attempt, 1000)  # a gift from before
    async with payment.connect() as connection:
        accepted_at = await connection.scalar(text("SELECT clock_timestamp()"))
    await learn(payment, attempt, 1500)
    for _ in range(2):
        assert await by_hand(payment, attempt, refund_id, 2000, accepted_at) == 1500


async def test_after_a_take_back_only_what_the_dashboard_gives_from_then_on_counts(
    payment: AsyncEngine,
) -> None:
    attempt, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    [first] = await tries(payment, attempt, refund_id, 2000)
    await note(payment, first, TryState.SUCCEEDED)
    await learn(payment, attempt, 2500)  # a gift of 500
    async with payment.begin() as connection:
        await refunds.take_back(connection, first, "lost_or_stolen_card")
    await learn(payment, attempt, 1200)
    for _ in range(2):
        assert await by_hand(payment, attempt, refund_id, 2000) == 1300


async def test_of_two_refunds_taken_back_both_are_paid_though_the_dashboard_gave_one(payment: AsyncEngine) -> None:
    attempt, both = await moved(payment, AUTHORIZED, CAPTURED), [uuid4(), uuid4()]
    for refund_id in both:
        [given] = await tries(payment, attempt, refund_id, 2000)
        await note(payment, given, TryState.SUCCEEDED)
        async with payment.begin() as connection:
            await refunds.take_back(connection, given, "lost_or_stolen_card")
    await learn(payment, attempt, 2000)
    again = [await tries(payment, attempt, refund_id, 2000, lacking=2000) for refund_id in both]
    assert [[each.amount.amount for each in parts] for parts in again] == [[2000], [PRICE - 4000]]


async def test_a_part_whose_money_another_refund_took_is_not_made_smaller_in_silence(payment: AsyncEngine) -> None:
    attempt, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    [first] = await tries(payment, attempt, refund_id, 2000)
    await note(payment, first, TryState.FAILED)
    await tries(payment, attempt, uuid4(), PRICE - 1500)
    assert await tries(payment, attempt, refund_id, 2000, 2) == []
    assert await by_hand(payment, attempt, refund_id, 2000) == 1500


@pytest.mark.parametrize("posted", [0, 400])
async def test_what_the_dashboard_gave_of_a_part_that_failed_is_owed_no_more(payment: AsyncEngine, posted: int) -> None:
    own, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    dearer = await of_exchange(payment, own)
    paid, failing = await tries(payment, own, refund_id, PRICE + 2000)
    await note(payment, paid, TryState.SUCCEEDED)
    await note(payment, failing, TryState.FAILED)
    await learn(payment, dearer, 2000 - posted)

    for _ in range(2):
        assert await by_hand(payment, own, refund_id, PRICE + 2000) == PRICE + posted

    async with payment.begin() as connection:
        assert not await refunds.is_owed(connection, refund_id)
        assert not await refunds.opens_tries(connection, refund_id, 99)
        again = await refunds.open_tries(connection, refund_id, own.booking_id, 99, PRICE + posted)
        assert sum(each.amount.amount for each in again) == PRICE + posted
        assert await provider_refunds.ours(connection, dearer) == 2000


async def test_a_part_that_was_paid_fails_later_without_the_one_that_the_dashboard_gave(payment: AsyncEngine) -> None:
    own, refund_id = await moved(payment, AUTHORIZED, CAPTURED), uuid4()
    dearer = await of_exchange(payment, own)
    paid, failing = await tries(payment, own, refund_id, PRICE + 2000)
    await note(payment, paid, TryState.SUCCEEDED)
    await note(payment, failing, TryState.FAILED)
    await learn(payment, dearer, 2000)
    await by_hand(payment, own, refund_id, PRICE + 2000)
    async with payment.begin() as connection:
        await refunds.take_back(connection, paid, "lost_or_stolen_card")
        assert await refunds.is_owed(connection, refund_id)
    again = await tries(payment, own, refund_id, PRICE, 2)
    assert [(each.attempt, each.amount.amount, each.is_new) for each in again] == [(own.number, PRICE, True)]


async def test_payments_of_failed_exchanges_neither_count_nor_give_back(payment: AsyncEngine) -> None:
    own = await moved(payment, AUTHORIZED, CAPTURED)
    kept, failed = [await of_exchange(payment, own) for _ in range(2)]
    stand = (None, kept.exchange_id)
    for attempt, refunded in ((own, 1000), (kept, 2000), (failed, 3000)):
        await learn(payment, attempt, refunded)
    async with payment.begin() as connection:
        counted = await provider_refunds.of_booking(connection, own.booking_id, stand)
        tries = await refunds.open_tries(connection, uuid4(), own.booking_id, 1, 10000, 3000, stand)
    assert [made.amount for made in counted] == [1000, 2000]
    assert [(each.attempt, each.amount.amount) for each in tries] == [(own.number, 4000), (kept.number, 3000)]


async def of_exchange(engine: AsyncEngine, own: Attempt) -> Attempt:
    """A captured payment of an exchange of the same booking."""
    until = datetime.now(UTC) + timedelta(hours=1)
    async with engine.begin() as connection:
        attempt = await attempts.open_attempt(connection, own.booking_id, own.provider, own.amount, until, uuid4())
    assert attempt
    for state in (AUTHORIZED, CAPTURED):
        assert await reach(engine, attempt, state)
    return attempt


async def bought(reservation: AsyncEngine, *seats: str) -> Booking:
    event = await on_sale(reservation)
    held = await claim(reservation, event, *seats)
    return await confirm(reservation, await move(reservation, held, BookingStatus.PAYING))


async def test_a_refund_by_the_provider_is_counted_once_and_bounds_what_goes_back(reservation: AsyncEngine) -> None:
    booking, made = await bought(reservation, "A-1-1"), RefundByProvider(refund_id=uuid4(), amount=1000)
    for _ in range(2):
        async with reservation.begin() as connection:
            await by_provider.note(connection, booking.id, made)
    now = await find(reservation, booking)
    assert (now.status, now.refunded, now.tickets) == ("confirmed", 1000, booking.tickets)
    assert rebuild(await history(reservation, booking)) == now
    async with reservation.begin() as connection:
        assert (await returned.plan(connection, booking.id)).back.amount == 4000
        assert await by_provider.settled_payments(connection, booking.id) == (None,)


@pytest.mark.parametrize("is_known", [False, True], ids=["learned later", "known before"])
async def test_an_outcome_says_what_the_provider_gave_back_in_its_place(
    reservation: AsyncEngine, is_known: bool
) -> None:
    booking, made = await bought(reservation, "A-1-1"), RefundByProvider(refund_id=uuid4(), amount=5000)
    async with reservation.begin() as connection:
        if is_known:
            await by_provider.note(connection, booking.id, made)
        refund, _ = await returned.accept(connection, of_all(booking))
        if not is_known:
            await by_provider.note(connection, booking.id, made)
            await by_provider.lower(connection, refund.id, 0)
        await returned.settle(connection, refund.id)
    told = (await history(reservation, booking))[-1]
    assert isinstance(told, BookingRefunded)
    assert (told.amount, told.fee, told.by_provider) == (0, 0, 5000)


def of_all(booking: Booking) -> RefundRequest:
    return RefundRequest(
        id=uuid4(),
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=booking.user_id,
        cause=RefundCause.BUYER,
        reason="We cannot come.",
        body_sha256="",
    )


async def test_a_refund_under_way_is_lowered_and_settled_with_what_was_left(reservation: AsyncEngine) -> None:
    booking = await bought(reservation, "A-1-1")
    async with reservation.begin() as connection:
        refund, _ = await returned.accept(connection, of_all(booking))
        assert refund.amount == 5000
        await by_provider.note(connection, booking.id, RefundByProvider(refund_id=uuid4(), amount=1000))
        await by_provider.lower(connection, refund.id, 4000)
    async with reservation.begin() as connection:
        settled = await returned.settle(connection, refund.id)
        await by_provider.lower(connection, refund.id, 1)  # too late
    now = await find(reservation, booking)
    assert (settled.amount, now.status, now.refunded) == (4000, "refunded", 5000)
    assert rebuild(await history(reservation, booking)) == now


async def test_payments_of_a_booking_that_is_not_paid_are_left_alone(reservation: AsyncEngine) -> None:
    held = await claim(reservation, await on_sale(reservation), "A-1-1")
    async with reservation.connect() as connection:
        assert await by_provider.settled_payments(connection, held.id) == ()


@pytest.mark.parametrize(("starts_in", "ends_in"), [(3600, 120), (60, 60)])
async def test_a_hold_never_ends_after_its_event_begins(reservation: AsyncEngine, starts_in: int, ends_in: int) -> None:
    event = await on_sale(reservation)
    moved_start = text("UPDATE events SET starts_at = now() + make_interval(secs => :secs) WHERE id = :id")
    async with reservation.begin() as connection:
        await connection.execute(moved_start, {"secs": starts_in, "id": event})
    booking = await claim(reservation, event, "A-1-1")
    left = booking.expires_at - datetime.now(UTC)
    assert timedelta(seconds=ends_in - 20) < left <= timedelta(seconds=ends_in + 1)


async def test_what_was_held_before_the_event_is_sold_after_it_has_begun(reservation: AsyncEngine) -> None:
    event = await on_sale(reservation)
    paying = await move(reservation, await claim(reservation, event, "A-1-1"), BookingStatus.PAYING)
    async with reservation.begin() as connection:
        await connection.execute(text("UPDATE events SET starts_at = now() WHERE id = :id"), {"id": event})
    assert (await confirm(reservation, paying)).status is BookingStatus.CONFIRMED


async def test_an_exchange_keeps_what_the_refund_policy_keeps(reservation: AsyncEngine) -> None:
    booking = await bought(reservation, "A-1-1")
    dearer = text("UPDATE events SET refund_fee_percent = 10 WHERE id = :id")
    other = text(
        "INSERT INTO sections (event_id, name, kind, price, rows, seats_per_row, capacity)"
        " VALUES (:id, 'B', 'seated', 4000, 1, 1, 1)"
    )
    seat = text("INSERT INTO seats (event_id, name, section) VALUES (:id, 'B-1-1', 'B')")
    request = exchange_request(booking, booking.tickets[0].id, "B-1-1")
    async with reservation.begin() as connection:
        for statement in (dearer, other, seat):
            await connection.execute(statement, {"id": booking.event_id})
        begun = await exchanges.begin(connection, request)
    assert (begun.difference, begun.returns, begun.fee) == (-1000, 900, 100)
    async with reservation.begin() as connection:
        done = await exchanges.swap(connection, begun.id)
        assert done.refund_id
        refund = await returned.settle(connection, done.refund_id)
    now = await find(reservation, booking)
    assert (refund.amount, refund.fee, now.status, now.refunded) == (900, 100, "confirmed", 900)
    assert rebuild(await history(reservation, booking)) == now
