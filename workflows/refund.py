"""The life of a refund: the tickets are void at once, and the money goes back until the provider says that it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.payment.refunds import GiveBack, RefundActivities
    from activities.reservation.refunds import ReturnedTickets
    from domain.bookings import BookingStatus, OperatorAction
    from domain.payments import GivingBack, GivingBackState
    from domain.refunds import Refund, RefundOutcome, RefundRequest
    from temporal import search_attributes
    from temporal.policies import provider, transaction
    from temporal.saga import shielded
    from workflows.attention import RETURN_MONEY, SETTLE_REFUND, Attention

# A provider may take days over a refund: the pauses between two looks double, so that the history stays short.
_FIRST_LOOK, _LONGEST_LOOK = timedelta(seconds=2), timedelta(hours=1)

# A refund that failed is tried again under a new key, after a pause that doubles, so often before an operator is asked.
_TRIES, _FIRST_RETRY = 3, timedelta(seconds=2)


def refund_workflow_id(refund_id: UUID) -> str:
    """The id of a refund's workflow."""
    return f"refund-{refund_id}"


def search_attributes_of_refund(request: RefundRequest) -> TypedSearchAttributes:
    """What Temporal's UI can find the refund by."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(search_attributes.STATUS, BookingStatus.REFUNDING),
            SearchAttributePair(search_attributes.EVENT, str(request.event_id)),
            SearchAttributePair(search_attributes.BOOKING, str(request.booking_id)),
        ]
    )


class _Failed(Exception):
    """The provider did not give the money back, for certain."""


@workflow.defn(name="Refund")
class RefundWorkflow:
    """One refund. Once accepted it is never undone: the tickets are void, so the money is owed until it has arrived."""

    @workflow.init
    def __init__(self, request: RefundRequest) -> None:
        self._request = request
        self._outcome: RefundOutcome | None = None
        self._number = 1  # of the try to give the money back
        self._provider_has_news = False
        self._attention = Attention()

    # The story

    @workflow.run
    async def run(self, request: RefundRequest) -> Refund:
        """The story, to its end. A cancellation from Temporal's UI changes nothing: what is owed stays owed."""
        await shielded(self._live(), on_cancel=lambda: None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._refund

    async def _live(self) -> None:
        await self._accept()
        await self._insist(RETURN_MONEY, self._return_money)
        await self._insist(SETTLE_REFUND, self._settle)
        await self._show_places()

    async def _accept(self) -> None:
        self._outcome = await workflow.execute_local_activity_method(
            ReturnedTickets.accept_refund, self._request, summary="void the tickets", **transaction()
        )
        if self._outcome.problem:
            # Not remembered for the key: a failed workflow's id may be used again.
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise ApplicationError(self._outcome.problem.detail, type=self._outcome.problem.type, non_retryable=True)

    async def _return_money(self) -> None:
        """Try until the money has gone back, each time with a key of its own.

        Raises:
            _Failed: It keeps failing at the provider.
            FailureError: The provider cannot be reached.
        """
        if not self._refund.amount:
            return
        last = self._number + _TRIES - 1
        pause = _FIRST_RETRY
        while True:
            answer = await self._ask_provider()
            if answer.state is GivingBackState.SUCCEEDED:
                return
            self._number += 1
            if self._number > last:
                raise _Failed(answer.code or "the provider does not say why")
            await workflow.sleep(pause)
            pause *= 2

    async def _ask_provider(self) -> GivingBack:
        """Begin this try and ask again until it is decided: what is pending has not gone back."""
        order = self._giving_back()
        pause = _FIRST_LOOK
        while True:
            self._provider_has_news = False
            answer = await workflow.execute_activity_method(
                RefundActivities.give_refund, order, summary=RETURN_MONEY, **provider(self._request.attempts)
            )
            if answer.state is not GivingBackState.PENDING:
                return answer
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._provider_has_news, timeout=pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    async def _note_by_hand(self) -> None:
        await workflow.execute_activity_method(
            RefundActivities.note_by_hand,
            self._giving_back(),
            summary="book what was given by hand",
            **provider(self._request.attempts),
        )

    def _giving_back(self) -> GiveBack:
        return GiveBack(
            refund_id=self._request.id,
            booking_id=self._request.booking_id,
            amount=self._refund.amount,
            number=self._number,
        )

    async def _settle(self) -> None:
        refund = await workflow.execute_local_activity_method(
            ReturnedTickets.settle_refund,
            self._request.id,
            summary=SETTLE_REFUND,
            **transaction(self._request.attempts),
        )
        self._outcome = self._accepted.model_copy(update={"refund": refund})

    async def _show_places(self) -> None:
        if not self._accepted.places_shown:
            await workflow.execute_local_activity_method(
                ReturnedTickets.show_places, self._request.booking_id, summary="tell Redis", **transaction()
            )

    # Where it does not go on by itself

    async def _insist(self, step: str, effect: Callable[[], Awaitable[None]]) -> None:
        """Do what has to be done; where it keeps failing, wait for an operator instead of failing silently."""
        while True:
            try:
                return await effect()
            except (FailureError, _Failed) as error:
                failure = error
            if await self._ask_operator(step, failure) is OperatorAction.RESOLVE:
                if not self._request.books_by_hand:
                    return None
                effect = self._note_by_hand

    async def _ask_operator(self, step: str, error: FailureError | _Failed) -> OperatorAction:
        workflow.logger.error("refund needs attention at %s", step, exc_info=error)
        self._attention.park(step)
        workflow.set_current_details(f"NEEDS ATTENTION: {step} keeps failing ({error.__cause__ or error})")
        workflow.upsert_search_attributes([search_attributes.STATUS.value_set(BookingStatus.NEEDS_ATTENTION)])
        await self._flag(ReturnedTickets.flag_refund)
        # A provider that is away comes back; one that refuses will go on refusing until somebody has looked.
        action = await self._attention.decision(alone=not isinstance(error, _Failed))
        workflow.upsert_search_attributes([search_attributes.STATUS.value_set(BookingStatus.REFUNDING)])
        await self._flag(ReturnedTickets.unflag_refund)
        return action

    async def _flag(self, flag: Callable[[ReturnedTickets, UUID], Awaitable[None]]) -> None:
        with suppress(FailureError):
            await workflow.execute_local_activity_method(
                flag, self._request.id, summary="flag for an operator", **transaction(attempts=3)
            )

    # Commands

    @workflow.update
    async def accepted(self) -> RefundOutcome:
        """What became of the request that the workflow was started for."""
        await workflow.wait_condition(lambda: self._outcome is not None)
        return self._accepted

    @workflow.update
    async def operate(self, action: OperatorAction) -> None:
        """An operator's decision about the step that keeps failing."""
        self._attention.decide(action)

    @operate.validator
    def _may_operate(self, action: OperatorAction) -> None:
        self._attention.check(action)

    @workflow.signal
    def provider_has_news(self) -> None:
        """The provider says that something changed: ask it now."""
        self._provider_has_news = True

    # Where we are

    @property
    def _accepted(self) -> RefundOutcome:
        assert self._outcome is not None, "nothing is accepted yet"
        return self._outcome

    @property
    def _refund(self) -> Refund:
        assert self._accepted.refund is not None
        return self._accepted.refund
