"""Calling an event off: sales stop at once, bookings in flight are let go, everyone who paid gets the money back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.catalogue.events import CatalogueActivities
    from activities.reservation.event_cancellations import Begun, CancellationActivities, Finished, Page, Pause
    from activities.reservation.inventory import InventoryActivities
    from domain.bookings import BookingStatus
    from domain.cancellations import Estimate, OpenBooking, Progress
    from domain.refunds import RefundCause, RefundRequest
    from temporal.policies import transaction
    from temporal.queues import CATALOGUE, RESERVATION
    from workflows.exchange import ExchangeWorkflow, exchange_workflow_id
    from workflows.refund import RefundWorkflow, refund_workflow_id, search_attributes_of_refund
    from workflows.start import workflow_id

_PAGE = 50  # bookings that one run of the workflow deals with, so that its history stays short
_AT_ONCE = 20  # refunds under way at a time
_PATIENCE = timedelta(seconds=10)  # with refunds that are under way, before others are begun beside them
_FIRST_REST, _LONGEST_REST = timedelta(seconds=1), timedelta(minutes=5)  # between looking through all bookings

_REASON = "The event was cancelled."


class CancelEvent(BaseModel):
    """What starts a cancellation, and where a run of its workflow takes over from the one before.

    Attributes:
        attempts: How often a step of a refund is tried before it waits for an operator.
        sales_are_stopped: The event is off sale, and known to be cancelled.
        paused: An operator has paused it.
        after: The booking up to which it has come in this look through all of them.
        rest: How long to wait before the next look.
        ends_exchanges: Exchanges that wait for their buyer are ended, and the report does not wait for operators.
            False is what cancellations did before there was the field.
        begins_together: Refunds are begun side by side, where each waited for Temporal to have begun the one before.
    """

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    requested_by: UUID
    attempts: int
    sales_are_stopped: bool = False
    paused: bool = False
    after: UUID | None = None
    rest: timedelta = _FIRST_REST
    ends_exchanges: bool = False
    begins_together: bool = False


def cancellation_workflow_id(event_id: UUID) -> str:
    """The id of a cancellation's workflow."""
    return f"cancel-event-{event_id}"


def refund_id(event_id: UUID, booking_id: UUID) -> UUID:
    """The one refund that an event's cancellation makes of a booking, however often it is begun."""
    return uuid5(event_id, f"cancelled {booking_id}")


@workflow.defn
class EstimateCancellation:
    """Says what cancelling would mean, and changes nothing."""

    @workflow.run
    async def run(self, event_id: UUID) -> Estimate:
        return await workflow.execute_local_activity_method(
            CancellationActivities.estimate_cancellation, event_id, summary="count", **transaction(attempts=3)
        )


@workflow.defn
class EventCancellation:
    """Goes through an event's bookings, a page in each run, until nothing is left to let go or to give back."""

    @workflow.init
    def __init__(self, order: CancelEvent) -> None:
        self._order = order
        self._sales_are_stopped = order.sales_are_stopped
        self._paused = order.paused
        self._noted_pause = order.paused
        self._running: set[UUID] = set()

    # The story

    @workflow.run
    async def run(self, order: CancelEvent) -> Progress:
        """The report, when it is over: refunds that wait for an operator by then are its failed ones.

        It is kept as soon as only operators can do more; what they let through is still refunded after that.
        """
        if not self._sales_are_stopped:
            await self._stop_sales()
        page = await self._open_bookings()
        for booking in page:
            await self._heed_pause()
            await self._settle(booking)
        await self._wait_for_refunds()
        if len(page) == _PAGE:
            return await self._go_on(after=page[-1].id, rest=order.rest)
        progress = await workflow.execute_local_activity_method(
            CancellationActivities.cancellation_progress, order.event_id, summary="count", **transaction()
        )
        self._tell(progress)
        if progress.is_over or (order.ends_exchanges and progress.waits_for_operators):
            await self._report(progress)
        if not progress.is_over:
            await self._rest()
            return await self._go_on(after=None, rest=min(2 * order.rest, _LONGEST_REST))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return progress

    # The steps

    async def _stop_sales(self) -> None:
        """First of all, so that nobody buys what the catalogue calls cancelled, and no new booking comes behind us."""
        event = await workflow.execute_activity_method(
            CatalogueActivities.read_event,
            self._order.event_id,
            task_queue=CATALOGUE,
            summary="read the event",
            **transaction(),
        )
        await workflow.execute_local_activity_method(
            InventoryActivities.stop_selling, event, summary="stop sales", **transaction()
        )
        await workflow.execute_local_activity_method(
            CancellationActivities.begin_cancellation,
            Begun(event_id=event.id, requested_by=self._order.requested_by),
            summary="begin",
            **transaction(),
        )
        await workflow.execute_activity_method(
            CatalogueActivities.mark_cancelled,
            event.id,
            task_queue=CATALOGUE,
            summary="call it off",
            **transaction(),
        )
        self._sales_are_stopped = True

    async def _open_bookings(self) -> list[OpenBooking]:
        return await workflow.execute_local_activity_method(
            CancellationActivities.open_bookings,
            Page(event_id=self._order.event_id, after=self._order.after, limit=_PAGE),
            summary="look at the next bookings",
            **transaction(),
        )

    async def _settle(self, booking: OpenBooking) -> None:
        if booking.status not in (BookingStatus.CONFIRMED, BookingStatus.PARTIALLY_REFUNDED):
            await self._let_go(booking.id)
        elif booking.exchange_id and self._order.ends_exchanges:
            await self._end_exchange(booking.exchange_id)
        else:
            await self._refund(booking.id)

    async def _end_exchange(self, exchange_id: UUID) -> None:
        """It undoes itself, or completes what has come too far; its booking is refunded at the next look."""
        with suppress(ApplicationError, FailureError):  # it has ended meanwhile, or will be revived
            exchange = workflow.get_external_workflow_handle(exchange_workflow_id(exchange_id))
            await exchange.signal(ExchangeWorkflow.event_cancelled)

    async def _let_go(self, booking_id: UUID) -> None:
        """Cancel the booking's saga, which takes it as its buyer's cancel: it undoes itself, or gets confirmed."""
        with suppress(ApplicationError, FailureError):  # it has ended meanwhile, or will be revived: we look again
            await workflow.get_external_workflow_handle(workflow_id(booking_id)).cancel()

    async def _refund(self, booking_id: UUID) -> None:
        await self._wait_for_room()
        request = RefundRequest(
            id=refund_id(self._order.event_id, booking_id),
            booking_id=booking_id,
            event_id=self._order.event_id,
            requested_by=self._order.requested_by,
            cause=RefundCause.EVENT_CANCELLED,
            reason=_REASON,
            waives_policy=True,
            body_sha256="",
            attempts=self._order.attempts,
            books_by_hand=True,
        )
        self._running.add(request.id)
        beginning = asyncio.create_task(self._begin(request))
        if not self._order.begins_together:
            await beginning

    async def _begin(self, request: RefundRequest) -> None:
        try:
            child = await workflow.start_child_workflow(
                RefundWorkflow.run,
                request,
                id=refund_workflow_id(request.id),
                task_queue=RESERVATION,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                search_attributes=search_attributes_of_refund(request),
            )
        except WorkflowAlreadyStartedError:
            self._running.discard(request.id)  # an earlier run has begun it
        else:
            child.add_done_callback(lambda done: self._ended(request.id, done.exception()))

    def _ended(self, refund: UUID, error: BaseException | None) -> None:
        if error:
            # Refused: the buyer's own refund came first. What is left of the booking is found at the next look.
            workflow.logger.info("refund %s was not accepted", refund)
        self._running.discard(refund)

    async def _wait_for_room(self) -> None:
        await self._wait_for(_AT_ONCE - 1)

    async def _wait_for_refunds(self) -> None:
        await self._wait_for(0)

    async def _wait_for(self, left: int) -> None:
        """Until so few are under way, or for so long: one that is pending for days must not hold up all others."""
        try:
            await workflow.wait_condition(lambda: len(self._running) <= left, timeout=_PATIENCE)
        except TimeoutError:
            self._running.clear()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._paused != self._noted_pause, timeout=self._order.rest)

    async def _heed_pause(self) -> None:
        while self._paused != self._noted_pause or self._paused:
            if self._paused != self._noted_pause:
                self._noted_pause = self._paused
                workflow.set_current_details("paused" if self._paused else "goes on")
                await workflow.execute_local_activity_method(
                    CancellationActivities.note_paused,
                    Pause(event_id=self._order.event_id, paused=self._noted_pause),
                    summary="pause" if self._noted_pause else "go on",
                    **transaction(),
                )
            else:
                await workflow.wait_condition(lambda: not self._paused)

    async def _go_on(self, *, after: UUID | None, rest: timedelta) -> Progress:
        await self._heed_pause()
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            self._order.model_copy(
                update={"sales_are_stopped": True, "paused": self._paused, "after": after, "rest": rest}
            )
        )

    async def _report(self, progress: Progress) -> None:
        await workflow.execute_local_activity_method(
            CancellationActivities.finish_cancellation,
            Finished(event_id=self._order.event_id, report=progress),
            summary="keep the report",
            **transaction(),
        )

    def _tell(self, progress: Progress) -> None:
        workflow.set_current_details(
            f"{progress.refunded} refunded, {progress.refunding} under way, {progress.failed} failed;"
            f" {progress.to_refund} to refund, {progress.in_flight} in flight"
        )

    # Commands

    @workflow.update
    async def sales_stopped(self) -> None:
        """Wait until nothing more of the event is sold."""
        await workflow.wait_condition(lambda: self._sales_are_stopped)

    @workflow.update
    async def pause(self) -> None:
        """Begin no more refunds; those under way go on."""
        self._paused = True

    @workflow.update
    async def resume(self) -> None:
        """Go on."""
        self._paused = False
