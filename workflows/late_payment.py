"""Money that turns up when nobody waits for it any more: seats for it if there are any, else it goes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.payment.late_payments import LateMoney, LatePaymentActivities, Settled
    from activities.payment.payments import PaymentActivities
    from activities.reservation.bookings import Reinstate, Release, ReservationActivities, Step
    from activities.reservation.exchanges import ExchangeActivities
    from domain.bookings import OVER, PAID, Booking, BookingStatus
    from domain.domain_events import LateSettlement
    from domain.exchanges import Exchange
    from domain.payments import GivingBackState, LatePayment
    from domain.problems import ProblemType
    from temporal.policies import provider, transaction
    from temporal.saga import Saga, shielded
    from temporal.search_attributes import EVENT, STATUS
    from workflows.attention import FIRST_REST, longer

_WATCHED_FOR = timedelta(days=14)
"""Longer than any payment that we know of stays undecided; news that comes later starts another workflow."""

_FIRST_LOOK, _LONGEST_LOOK, _LONGEST_WAIT = timedelta(seconds=2), timedelta(hours=1), timedelta(minutes=1)
_UNFINISHED = set(BookingStatus) - OVER


T = TypeVar("T")


class _NotToBeHad(Exception):
    """The booking cannot be completed any more: the money goes back."""


@workflow.defn(name="LatePayment")
class LatePaymentWorkflow:
    """One intent of a closed attempt. The signal `provider_has_news` makes it try at once, whatever it waits for."""

    @workflow.init
    def __init__(self, late: LatePayment) -> None:
        self._late = late
        self._saga = Saga()
        self._provider_has_news = False
        self._booking: Booking | None = None
        self._settlement: LateSettlement | None = None

    @workflow.run
    async def run(self, late: LatePayment) -> LateSettlement | None:
        """What became of the money; None where none turned up."""
        await shielded(self._live(), on_cancel=lambda: None)  # nobody can cancel that a buyer gets the money back
        return self._settlement

    async def _live(self) -> None:
        await self._look()
        workflow.upsert_search_attributes([EVENT.value_set(str(self._here.event_id))])
        if self._late.exchange_id:
            await self._let_the_exchange_end(self._late.exchange_id)
        if await self._money_turns_up():
            await self._let_the_booking_end()
            self._settlement = await self._sell_after_all()
        await self._insist("tell the buyer", self._tell_the_buyer)
        workflow.set_current_details(f"Money: {self._settlement or 'none turned up'}")

    async def _let_the_exchange_end(self, exchange_id: UUID) -> None:
        """While it is under way, or can be taken up again, the money is its own: it takes it, or gives it back."""
        pause = _FIRST_LOOK
        while not (await self._look_at_exchange(exchange_id)).is_over:
            await self._wait(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    async def _money_turns_up(self) -> bool:
        """Wait for the provider's decision; a webhook only makes it sooner."""
        until, pause = workflow.now() + _WATCHED_FOR, _FIRST_LOOK
        while True:
            found = await self._insist("ask the provider", self._examine)
            if found is not LateMoney.UNDECIDED or workflow.now() >= until:
                return found is LateMoney.THERE
            await self._wait(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    async def _let_the_booking_end(self) -> None:
        """While its own saga lives, that decides: it may have been paid otherwise, or be paid yet."""
        pause = _FIRST_LOOK
        while self._here.status in _UNFINISHED:
            await self._wait(pause)
            pause = min(2 * pause, _LONGEST_WAIT)
            await self._look()

    async def _sell_after_all(self) -> LateSettlement:
        """The seats again, or equal ones, for who has lost them to the clock; everybody else gets the money back."""
        before = self._here
        try:
            await self._reinstate()  # undone by: release seats
            await self._take_up()  #   undone by: return money
            await self._commit()
            await self._capture()
            await self._insist("issue tickets", self._issue)
        except (_NotToBeHad, FailureError):
            await self._saga.compensate()
        if self._here.status in PAID and before.status not in PAID:
            return LateSettlement.SAME_PLACES if self._here.seats == before.seats else LateSettlement.OTHER_SEATS
        await self._give_back()
        return LateSettlement.RETURNED

    # The steps, each with what undoes it

    async def _reinstate(self) -> None:
        if self._here.status is not BookingStatus.EXPIRED:
            raise _NotToBeHad
        self._saga.on_failure("release seats", self._release)
        order = Reinstate(booking=self._here, window=self._late.policy.payment_window)
        reinstatement = await workflow.execute_local_activity_method(
            ReservationActivities.reinstate, order, summary="hold the seats again", **transaction(self._attempts)
        )
        if reinstatement.booking is None:
            raise _NotToBeHad
        self._booking = reinstatement.booking
        workflow.upsert_search_attributes([STATUS.value_set(self._here.status)])

    async def _take_up(self) -> None:
        self._saga.on_failure("return money", self._return_money)
        if not await self._remote(LatePaymentActivities.take_up, self._late, "make the attempt the live one"):
            self._saga.drop("return money")  # the live one is another
            raise _NotToBeHad

    async def _commit(self) -> None:
        order = Step(booking=self._here)
        if await workflow.execute_local_activity_method(
            ReservationActivities.commit, order, summary="commit seats", **transaction(self._attempts)
        ):
            raise _NotToBeHad

    async def _capture(self) -> None:
        if await self._remote(PaymentActivities.capture, self._here.id, "capture the money"):
            raise _NotToBeHad

    async def _issue(self) -> None:
        try:
            self._booking = await workflow.execute_local_activity_method(
                ReservationActivities.issue,
                Step(booking=self._here),
                summary="issue tickets",
                **transaction(self._attempts),
            )
        except FailureError:
            await self._look()
            if self._here.status in _UNFINISHED:
                raise
            # Its outcome was lost, or a revived saga has undone it: the row says which.

    # Going back

    async def _release(self) -> None:
        async def release() -> None:
            await self._look()
            if self._here.status in _UNFINISHED:
                order = Release(booking=self._here, to=BookingStatus.FAILED, reason=ProblemType.PAYMENT_TOO_LATE)
                self._booking = await workflow.execute_local_activity_method(
                    ReservationActivities.release, order, summary="release seats", **transaction(self._attempts)
                )

        await self._insist("release seats", release)

    async def _return_money(self) -> None:
        async def return_money() -> None:
            await self._remote(PaymentActivities.return_money, self._here.id, "void or refund")

        await self._insist("return money", return_money)

    async def _give_back(self) -> None:
        """Until it is decided: what is pending has not gone back."""
        pause = _FIRST_LOOK
        while await self._insist("give the money back", self._void_or_refund) is GivingBackState.PENDING:
            await self._wait(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    async def _void_or_refund(self) -> GivingBackState:
        state: GivingBackState = await self._remote(LatePaymentActivities.give_back, self._late, "void or refund")
        return state

    async def _insist(self, what: str, effect: Callable[[], Awaitable[T]]) -> T:
        """Do what has to be done; where it keeps failing, say so, and try again after minutes, later hours."""
        rest = FIRST_REST
        while True:
            try:
                return await effect()
            except FailureError as error:
                workflow.logger.error("late payment needs attention at %s", what, exc_info=error)
                workflow.set_current_details(f"NEEDS ATTENTION: {what} keeps failing ({error.cause or error})")
            workflow.upsert_search_attributes([STATUS.value_set(BookingStatus.NEEDS_ATTENTION)])
            await self._wait(rest)
            rest = longer(rest)
            workflow.upsert_search_attributes([STATUS.value_set(self._here.status)])

    # Looking and telling

    async def _look(self) -> None:
        self._booking = await workflow.execute_local_activity_method(
            ReservationActivities.look, self._late.booking_id, summary="look at the row", **transaction()
        )

    async def _look_at_exchange(self, exchange_id: UUID) -> Exchange:
        found: Exchange = await workflow.execute_local_activity_method(
            ExchangeActivities.look_at_exchange, exchange_id, summary="look at the exchange", **transaction()
        )
        return found

    async def _examine(self) -> LateMoney:
        found: LateMoney = await self._remote(LatePaymentActivities.examine, self._late, "ask the provider")
        return found

    async def _tell_the_buyer(self) -> None:
        seats = () if self._settlement is LateSettlement.RETURNED else self._here.seats
        settled = Settled(late=self._late, user_id=self._here.user_id, settlement=self._settlement, seats=seats)
        await self._remote(LatePaymentActivities.settle, settled, "tell the buyer")

    async def _wait(self, pause: timedelta) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._provider_has_news, timeout=pause)
        self._provider_has_news = False

    @workflow.signal
    def provider_has_news(self) -> None:
        """The provider says that something changed, or an operator wants another try."""
        self._provider_has_news = True

    async def _remote(self, effect: Any, order: Any, summary: str) -> Any:
        options = provider(self._attempts)
        return await workflow.execute_activity_method(effect, order, summary=summary, **options)

    @property
    def _here(self) -> Booking:
        assert self._booking is not None, "the row has not been looked at"
        return self._booking

    @property
    def _attempts(self) -> int:
        return self._late.policy.compensation_attempts
