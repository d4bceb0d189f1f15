"""The cancellation of an event: sales stop at once, open bookings are cancelled, every buyer gets the money back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.catalogue.events import CatalogueActivities
    from activities.reservation.event_cancellations import (
        Attention,
        Begun,
        CancellationActivities,
        Finished,
        Page,
        Pause,
    )
    from activities.reservation.inventory import InventoryActivities
    from domain.bookings import BookingStatus
    from domain.catalogue import EventChange, EventStatus
    from domain.event_cancellations import Estimate, Failing, OpenBooking, Progress
    from domain.refunds import Refund, RefundCause, RefundOutcome, RefundRequest
    from temporal.queues import CATALOGUE
    from temporal.search_attributes import STATUS
    from workflows.exchange import ExchangeWorkflow
    from workflows.ids import booking_workflow_id, exchange_workflow_id
    from workflows.refund import start_refund
    from workflows.support import problems
    from workflows.support.steps import local_step, service_step

_PAGE = 50  # bookings that one run of the workflow deals with, so that its history stays short
_AT_ONCE = 20  # refunds under way at a time
_LONGEST_WAIT = timedelta(seconds=10)  # for refunds under way, before others are started beside them
_FIRST_REST, _LONGEST_REST = timedelta(seconds=1), timedelta(minutes=5)  # between two passes through all bookings

_BEARABLE_ROUNDS = 3  # in a row in which refunds come to nothing, before operators are asked for help

_REASON = "The event was cancelled."


class CancelEvent(BaseModel):
    """What starts a cancellation, and where a run of its workflow takes over from the one before.

    Attributes:
        attempts: How often a step of a refund is tried before it waits for an operator.
        if_version: The version of the event that its canceller has read: any other is not cancelled. None: whatever the
            version is.
        sales_are_stopped: The event is off sale, and known to be cancelled.
        paused: An operator has paused it.
        after: The last booking that this pass through all of them has settled.
        rest: How long to wait before the next pass.
        failing: The refunds that come to nothing, in this pass and in those before.
    """

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    requested_by: UUID
    attempts: int
    if_version: int | None = None
    sales_are_stopped: bool = False
    paused: bool = False
    after: UUID | None = None
    rest: timedelta = _FIRST_REST
    failing: Failing = Failing()


def refund_id(event_id: UUID, booking_id: UUID) -> UUID:
    """The one refund that the cancellation of an event makes of a booking, however often it is started."""
    return uuid5(event_id, f"cancelled {booking_id}")


def _said(error: BaseException) -> str:
    """An error and what caused it, in its own words."""
    cause = error.__cause__
    return f"{type(error).__name__}: {error}" + (f" ({_said(cause)})" if cause else "")


@workflow.defn
class EstimateCancellation:
    """Says what cancelling would mean, and changes nothing."""

    @workflow.run
    async def run(self, event_id: UUID) -> Estimate:
        """Count."""
        return await local_step(CancellationActivities.estimate_cancellation, event_id, "count", max_attempts=3)


@workflow.defn
class EventCancellation:
    """Goes through an event's bookings, a page in each run, until none is left to cancel or to refund."""

    @workflow.init
    def __init__(self, request: CancelEvent) -> None:
        """Go on from where the run before this one was."""
        self._request = request
        self._sales_are_stopped = request.sales_are_stopped
        self._is_refused = False
        self._paused = request.paused
        self._recorded_pause = request.paused
        self._failing = request.failing
        self._running: set[UUID] = set()
        self._starting: set[asyncio.Task[None]] = set()

    # The life of an event cancellation

    @workflow.run
    async def run(self, request: CancelEvent) -> Progress | None:
        """The report at the end, in which the failed refunds are those that wait for an operator by then.

        The report is kept as soon as only operators can do more; what they let through is still refunded after that.
        None: the event has another version than its canceller has read, and nothing is changed.
        """
        if not self._sales_are_stopped:
            await self._stop_sales()
        if self._is_refused:
            await problems.refuse(problems.EVENT_CHANGED)
            return None
        page = await self._next_page()
        for booking in page:
            await self._heed_pause()
            await self._settle(booking)
        await self._wait_for_refunds(left=0)
        if len(page) == _PAGE:
            return await self._continue(after=page[-1].id, rest=request.rest)
        progress = await local_step(CancellationActivities.cancellation_progress, request.event_id, "count")
        await self._end_round(progress)
        if progress.is_over or progress.waits_for_operators:
            finished = Finished(event_id=request.event_id, report=progress)
            await local_step(CancellationActivities.finish_cancellation, finished, "keep the report")
        if not progress.is_over:
            await self._rest()
            return await self._continue(after=None, rest=min(2 * request.rest, _LONGEST_REST))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return progress

    # Its steps

    async def _stop_sales(self) -> None:
        """The first step: what the catalogue calls cancelled is not sold any more, and no booking is added later.

        Only where a version is named, the catalogue comes first: it alone knows the version, and if that has changed,
        sales go on. What is sold in between is refunded with the rest.
        """
        event_id = self._request.event_id
        change = EventChange(event_id=event_id, if_version=self._request.if_version)
        event = await service_step(CATALOGUE, CatalogueActivities.read_event, event_id, "read the event")
        if change.if_version is not None:
            status = await service_step(CATALOGUE, CatalogueActivities.mark_cancelled, change, "cancel this version")
            if status is not EventStatus.CANCELLED:
                self._is_refused = True
                return
        await local_step(InventoryActivities.stop_selling, event, "stop sales")
        begun = Begun(event_id=event_id, requested_by=self._request.requested_by)
        is_shown = await local_step(CancellationActivities.begin_cancellation, begun, "begin")
        self._failing = self._failing.model_copy(update={"is_shown": bool(is_shown)})  # None from a 0.1.0 worker
        await service_step(CATALOGUE, CatalogueActivities.mark_cancelled, change, "cancel the event")
        self._sales_are_stopped = True

    async def _next_page(self) -> list[OpenBooking]:
        page = Page(event_id=self._request.event_id, after=self._request.after, limit=_PAGE)
        return await local_step(CancellationActivities.open_bookings, page, "read the next bookings")

    async def _settle(self, booking: OpenBooking) -> None:
        if booking.status not in (BookingStatus.CONFIRMED, BookingStatus.PARTIALLY_REFUNDED):
            await self._cancel(booking.id)
        elif booking.exchange_id:
            await self._end_exchange(booking.exchange_id)
        else:
            await self._refund(booking.id)

    async def _cancel(self, booking_id: UUID) -> None:
        """The booking's saga takes it as its buyer's cancel: it undoes itself, or gets confirmed."""
        with suppress(ApplicationError, FailureError):  # it has ended since, or will be recovered: see the next pass
            await workflow.get_external_workflow_handle(booking_workflow_id(booking_id)).cancel()

    async def _end_exchange(self, exchange_id: UUID) -> None:
        """It undoes itself, or completes what has come too far; its booking is refunded in the next pass."""
        with suppress(ApplicationError, FailureError):  # it has ended since, or will be recovered
            exchange = workflow.get_external_workflow_handle(exchange_workflow_id(exchange_id))
            await exchange.signal(ExchangeWorkflow.event_cancelled)

    async def _refund(self, booking_id: UUID) -> None:
        """Start it beside those that are under way; it is not waited for here."""
        await self._wait_for_refunds(left=_AT_ONCE - 1)
        request = RefundRequest(
            id=refund_id(self._request.event_id, booking_id),
            booking_id=booking_id,
            event_id=self._request.event_id,
            requested_by=self._request.requested_by,
            cause=RefundCause.EVENT_CANCELLED,
            reason=_REASON,
            waives_policy=True,
            body_sha256="",
            attempts=self._request.attempts,
        )
        self._running.add(request.id)
        starting = asyncio.create_task(self._start(request))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _start(self, request: RefundRequest) -> None:
        try:
            child = await start_refund(request)
        except WorkflowAlreadyStartedError:  # by an earlier run; an accepted one's booking would not be in the page
            self._came_to_nothing(request, "runs, but is not accepted")
        except Exception as error:  # whatever it is, it must not stop the refunds of all other bookings
            self._came_to_nothing(request, f"does not start: {_said(error)}")
        else:
            child.add_done_callback(lambda done: self._ended(request, done))

    def _ended(self, request: RefundRequest, done: asyncio.Future[Refund | RefundOutcome]) -> None:
        """One may be refused: the buyer's own refund came first. What it leaves is found in the next pass."""
        self._running.discard(request.id)
        if error := done.exception():
            self._came_to_nothing(request, f"has failed: {_said(error)}")
            return
        ended = done.result()
        if isinstance(ended, RefundOutcome) and ended.problem:
            self._came_to_nothing(request, f"is refused: {ended.problem.detail}")

    def _came_to_nothing(self, request: RefundRequest, what: str) -> None:
        why = f"the refund of booking {request.booking_id} {what}"
        workflow.logger.warning("a refund has come to nothing", extra={"refund": str(request.id), "why": why})
        self._running.discard(request.id)
        self._failing = self._failing.with_another(why)

    async def _wait_for_refunds(self, left: int) -> None:
        """Until so few are under way, or for so long: one that is pending for days must not stop all others."""
        try:
            await workflow.wait_condition(lambda: len(self._running) <= left, timeout=_LONGEST_WAIT)
        except TimeoutError:
            self._running.clear()

    # From one run to the next

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._paused != self._recorded_pause, timeout=self._request.rest)

    async def _heed_pause(self) -> None:
        while self._paused != self._recorded_pause or self._paused:
            if self._paused == self._recorded_pause:
                await workflow.wait_condition(lambda: not self._paused)
                continue
            self._recorded_pause = self._paused
            workflow.set_current_details("paused" if self._paused else "continues")
            pause = Pause(event_id=self._request.event_id, paused=self._recorded_pause)
            summary = "pause" if self._recorded_pause else "continue"
            await local_step(CancellationActivities.note_paused, pause, summary)

    async def _continue(self, *, after: UUID | None, rest: timedelta) -> Progress:
        await self._heed_pause()
        await workflow.wait_condition(workflow.all_handlers_finished)
        next_run = {
            "sales_are_stopped": True,
            "paused": self._paused,
            "after": after,
            "rest": rest,
            "failing": self._failing,
        }
        workflow.continue_as_new(self._request.model_copy(update=next_run))

    async def _end_round(self, progress: Progress) -> None:
        """After some rounds in a row in which refunds came to nothing, ask operators for help; else stop asking."""
        was_shown, refunds = self._failing.is_shown, self._failing.refunds
        is_found = workflow.info().typed_search_attributes.get(STATUS) is not None  # not in a workflow started again
        self._failing = Failing() if progress.is_over else self._failing.after_the_round(bearable=_BEARABLE_ROUNDS)
        self._show(progress)
        if self._failing.is_shown:
            why = f"{refunds} refund(s) come to nothing, in {self._failing.rounds} rounds now: {self._failing.why}"
            workflow.logger.error("an event cancellation needs attention", extra={"why": why})
            workflow.set_current_details(f"NEEDS ATTENTION: {why}")
        if self._failing.is_shown is not was_shown or (self._failing.is_shown and not is_found):
            await self._ask_for_help()

    async def _ask_for_help(self) -> None:
        """Let Temporal's UI, the metric and the API say whether an operator is needed."""
        needed = self._failing.is_shown
        workflow.upsert_search_attributes(
            [STATUS.value_set(BookingStatus.NEEDS_ATTENTION) if needed else STATUS.value_unset()]
        )
        attention = Attention(event_id=self._request.event_id, needs_attention=needed)
        summary = "ask for help" if needed else "needs no help"
        await local_step(CancellationActivities.flag_cancellation, attention, summary)

    def _show(self, progress: Progress) -> None:
        workflow.set_current_details(
            f"{progress.refunded} refunded, {progress.refunding} under way, {progress.failed} failed;"
            f" {progress.to_refund} to refund, {progress.in_flight} in flight"
        )

    # Commands

    @workflow.update
    async def sales_stopped(self) -> None:
        """Wait until nothing more of the event is sold, or the event is not cancelled because it has changed."""
        await workflow.wait_condition(lambda: self._sales_are_stopped or self._is_refused)

    @workflow.update
    async def pause(self) -> None:
        """Start no more refunds; those under way continue."""
        self._paused = True

    @workflow.update
    async def resume(self) -> None:
        """Start refunds again."""
        self._paused = False
