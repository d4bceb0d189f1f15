"""Money that arrives when no saga waits for it any more: seats for it if there are any, else it goes back."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.payment.late_payments import REFUND_REFUSED, LateMoney, LatePaymentActivities, Settled
    from activities.reservation.exchanges import ExchangeActivities
    from domain.bookings import PAID, UNFINISHED, Booking, BookingStatus
    from domain.domain_events import LateSettlement
    from domain.exchanges import Exchange
    from domain.payments import LatePayment, ProviderRefundState
    from domain.problems import ProblemType
    from temporal.saga import Aborted, NoEffect, Saga, shielded
    from temporal.search_attributes import EVENT
    from workflows.support.booking_state import BookingState
    from workflows.support.operator_gate import (
        ISSUE_TICKETS,
        RELEASE_SEATS,
        RETURN_MONEY,
        NeedsOperator,
        OperatorGate,
        done_by_hand,
        once_known,
    )
    from workflows.support.payment_steps import PaymentSteps
    from workflows.support.polling import FIRST_PAUSE, doubling, poll
    from workflows.support.steps import Activity, Result, failed_as, local_step, provider_step

_WATCHED_FOR = timedelta(days=14)
"""Longer than any payment stays undecided, as far as is known; a later notification starts another workflow."""

_THERE = (LateMoney.THERE, LateMoney.DIFFERS)
_REFUNDS = 3
"""So many in a row may fail; a card that is closed takes none."""

_FIND_BUYER = "look for the buyer's account"
_AN_HOUR, _A_MINUTE = timedelta(hours=1), timedelta(minutes=1)


@workflow.defn(name="LatePayment")
class LatePaymentWorkflow(OperatorGate):
    """One intent of a closed payment attempt. A provider's notification ends every pause, whatever it is for."""

    @workflow.init
    def __init__(self, late: LatePayment) -> None:
        """Nothing is known yet, neither of the money nor of the booking."""
        super().__init__(notification_retries=True)
        max_attempts = late.policy.compensation_attempts
        self._late = late
        self._reservation = BookingState(late.booking_id, max_attempts)
        self._payments = PaymentSteps(late.booking_id, max_attempts)
        self._settlement: LateSettlement | None = None
        self._is_anothers = False
        self._refusals = 0  # refunds that have failed since an operator decided

    # The life of a late payment

    @workflow.run
    async def run(self, late: LatePayment) -> LateSettlement | None:
        """What became of the money; None where none arrived. A cancellation from Temporal's UI changes nothing."""
        await shielded(self._live(), on_cancel=lambda: None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._settlement

    async def _live(self) -> None:
        await self._reservation.adopt()
        workflow.upsert_search_attributes([EVENT.value_set(str(self._booking.event_id))])
        if self._late.exchange_id:
            await self._wait_for_exchange(self._late.exchange_id)
        is_told = True
        while is_told:
            self.notification.has_arrived = False
            await self._follow()
            # A notification during the last step may be about money that came after the provider was asked.
            is_told = self.notification.has_arrived and _is_careful()

    async def _follow(self) -> None:
        """Follow the money to where it stays, and inform the buyer."""
        money = await self._decided_money()
        while money in _THERE and await self._waits_for_booking():
            money = await self._decided_money()  # it may have gone back in that time
        settlement = await self._settle(is_owed=money is LateMoney.THERE) if money in _THERE else None
        self._settlement = settlement or self._settlement
        # Before an operator acts, which may take days.
        await self.must("notify the buyer", partial(self._notify_buyer, settlement))
        if money is LateMoney.DIFFERS:
            why = "the provider reported another amount than was owed; all of it has gone back"
            await self.must(RETURN_MONEY, once_known(why), resolve=done_by_hand)
        workflow.set_current_details(f"Money: {self._settlement or 'none arrived'}")

    async def _settle(self, *, is_owed: bool) -> LateSettlement:
        """The seats again, or equal ones, for a buyer who was too slow; in all other cases the money goes back."""
        before = self._booking
        if before.status is BookingStatus.EXPIRED and is_owed and not await self._is_buyer_erased():
            sold = await self._sell_after_all()
            if self._booking.status in PAID and (sold or await self._has_paid()):
                same = self._booking.seats == before.seats
                return LateSettlement.SAME_PLACES if same else LateSettlement.OTHER_SEATS
        await poll(self._give_money_back, longest=_AN_HOUR, wait=self.notification.wait)
        return LateSettlement.RETURNED

    async def _sell_after_all(self) -> bool:
        """Whether this run has sold the places for this money; the booking may be paid by another payment."""
        with suppress(Aborted, FailureError):
            async with Saga() as saga:
                await saga.step("hold the seats again", self._reinstate(), undo=self._release)
                await saga.step("make the attempt the live one", self._take_up(), undo=self._return_money)
                await self._reservation.commit()  # undone as the hold is: the release gives back held and sold seats
                await self._payments.capture()  # undone as taking it up is: what is taken is refunded
                await self.must(ISSUE_TICKETS, self._reservation.issue)
                if self._booking.status not in PAID and _is_careful():
                    raise Aborted  # the booking was undone while its payment ran: what is taken goes back
            return True
        return False

    async def _has_paid(self) -> bool:
        """Whether an earlier run has sold the places for this money."""
        return not _is_careful() or await self._payment_step(LatePaymentActivities.has_paid, "look at the attempt")

    # What it waits for

    async def _wait_for_exchange(self, exchange_id: UUID) -> None:
        """While the exchange is under way, or can be recovered, the money is its own: it takes it or gives it back."""

        async def ended_exchange() -> Exchange | None:
            exchange = await local_step(ExchangeActivities.look_at_exchange, exchange_id, "read the exchange")
            return exchange if exchange.is_over else None

        await poll(ended_exchange, longest=_AN_HOUR, wait=self.notification.wait)

    async def _decided_money(self) -> LateMoney:
        """Wait until the provider has decided, or for as long as the intent is watched."""
        until = workflow.now() + _WATCHED_FOR

        async def decision() -> LateMoney | None:
            found = await self.must("ask the provider", self._examine)
            return found if found is not LateMoney.UNDECIDED or workflow.now() >= until else None

        return await poll(decision, longest=_AN_HOUR, wait=self.notification.wait)

    async def _examine(self) -> LateMoney:
        return await self._payment_step(LatePaymentActivities.examine, "ask the provider")

    async def _waits_for_booking(self) -> bool:
        """Wait until the booking has ended; whether that took time."""
        looks = 0

        async def ended_booking() -> Booking | None:
            nonlocal looks
            looks += 1
            return await self._ended_booking()

        await poll(ended_booking, longest=_A_MINUTE, wait=self.notification.wait)
        return looks > 1 and _is_careful()

    async def _ended_booking(self) -> Booking | None:
        """None while a saga acts for the booking, its own or another late payment's: it may be paid by that."""
        if self._booking.status in UNFINISHED or _is_careful():
            await self._reservation.adopt()
        return None if self._booking.status in UNFINISHED else self._booking

    # Its steps

    async def _is_buyer_erased(self) -> bool:
        """Whether the buyer would pay for tickets that cannot be sent; tried until identity answers."""

        async def is_erased() -> bool:
            user_id, attempts = self._booking.user_id, self._late.policy.compensation_attempts
            return await provider_step(LatePaymentActivities.is_erased, user_id, _FIND_BUYER, attempts)

        return _is_careful() and await self.must(_FIND_BUYER, is_erased)

    async def _reinstate(self) -> None:
        if not await self._reservation.reinstate(self._late.policy.payment_window):
            raise Aborted
        self.show_status(self._booking.status)

    async def _take_up(self) -> None:
        if not await self._payment_step(LatePaymentActivities.take_up, "make the attempt the live one"):
            self._is_anothers = _is_careful()
            raise NoEffect  # another attempt is the live one, and its money is not to be returned

    async def _give_money_back(self) -> ProviderRefundState | None:
        """None while it is pending, for then it has not gone back."""
        state = await self.must("give the money back", self._void_or_refund, resolve=self._note_by_hand)
        return None if state is ProviderRefundState.PENDING else state

    async def _void_or_refund(self) -> ProviderRefundState:
        """Void, or refund by some tries.

        Raises:
            NeedsOperator: The provider refuses again and again; only a person can end that.
            FailureError: The provider cannot be reached.
        """
        pauses = doubling(FIRST_PAUSE, _A_MINUTE)
        while True:
            try:
                return await self._payment_step(LatePaymentActivities.give_back, "void or refund")
            except FailureError as error:
                if not failed_as(REFUND_REFUSED, error):
                    raise
                self._refusals += 1
                if self._refusals == _REFUNDS:
                    self._refusals = 0  # an operator decides before the next one
                    raise NeedsOperator(str(error.cause or error)) from error
            await workflow.sleep(next(pauses))

    async def _note_by_hand(self) -> ProviderRefundState:
        await self._note_manual_refund()
        return ProviderRefundState.SUCCEEDED

    async def _note_manual_refund(self) -> None:
        """What takes the place of a refund where an operator has given the money back, so that it goes back once."""
        await self._payment_step(LatePaymentActivities.note_late_by_hand, "note the manual refund")

    async def _notify_buyer(self, settlement: LateSettlement | None) -> None:
        seats = () if settlement is LateSettlement.RETURNED else self._booking.seats
        settled = Settled(late=self._late, user_id=self._booking.user_id, settlement=settlement, seats=seats)
        attempts = self._late.policy.compensation_attempts
        await provider_step(LatePaymentActivities.settle, settled, "notify the buyer", attempts)

    # Going back

    async def _return_money(self) -> None:
        """No buyer gets both the tickets and the money; what another payment of the booking has paid stays."""
        late = None
        if _is_careful():
            late = self._late
            await self._reservation.forbid_tickets()
            if self._booking.status in PAID:
                return
        await self.must(RETURN_MONEY, partial(self._payments.return_money, late), resolve=self._note_manual_refund)

    async def _release(self) -> None:
        """Not where another late payment of this booking takes the places, which is the one that holds them again."""
        if self._is_anothers:
            return

        async def release() -> None:
            await self._reservation.adopt()
            if not self._reservation.is_over:
                await self._reservation.release(BookingStatus.FAILED, ProblemType.PAYMENT_TOO_LATE)

        await self.must(RELEASE_SEATS, release)

    async def unflag(self) -> None:
        """Let Temporal's UI show the booking's status again."""
        self.show_status(self._booking.status)

    @property
    def _booking(self) -> Booking:
        return self._reservation.booking

    async def _payment_step(self, activity: Activity[LatePayment, Result], summary: str) -> Result:
        return await provider_step(activity, self._late, summary, self._late.policy.compensation_attempts)


def _is_careful() -> bool:
    """False for a workflow of version 0.1.0, which took the booking's live payment for its own."""
    return workflow.patched("a late payment acts for its own money alone")
