"""The workflows that finish bookings: where one has to live, and that Temporal tells the same story as Postgres."""

from __future__ import annotations

from uuid import UUID

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from audit import queries
from audit.connections import OF_EVENT
from audit.snapshot import Broken, Look
from domain.bookings import Booking, BookingStatus
from temporal.search_attributes import STATUS

_UNFINISHED = "('held', 'paying', 'action_required', 'needs_attention', 'refunding')"

_UNDER_WAY = "('pending', 'action_required', 'committed')"


async def what_is_unfinished_is_being_finished(look: Look) -> list[Broken]:
    """Each booking that has not ended, or one of whose seats is being exchanged, has a living saga."""
    statement = f"""
        SELECT id::text AS id, status FROM bookings
        WHERE (status IN {_UNFINISHED} AND updated_at < now() - interval '2 seconds'
               OR id IN ({queries.EXCHANGING} AND created_at < now() - interval '2 seconds'))
          AND {OF_EVENT.format("event_id")}
    """
    rows = await look.rows(statement)
    running = await look.once(queries.running) if rows else set()
    return [Broken(row.id, f"{row.status}, but its saga is not running") for row in rows if row.id not in running]


async def nothing_outlasts_its_window(look: Look) -> list[Broken]:
    """No booking stays held a minute beyond its hold, nor in payment or exchange five minutes beyond the window."""
    statement = f"""
        SELECT id::text AS id, status FROM bookings
        WHERE {OF_EVENT.format("event_id")} AND (
            status = 'held' AND greatest(expires_at, updated_at) + interval '1 minute' < now()
            OR status IN ('paying', 'action_required')
               AND updated_at + CAST(:payment_window AS interval) + interval '5 minutes' < now()
        )
        UNION ALL
        SELECT b.id::text, 'in exchange' FROM exchanges x JOIN bookings b ON b.id = x.booking_id
        WHERE {OF_EVENT.format("b.event_id")} AND x.state IN {_UNDER_WAY} AND NOT x.needs_attention
          AND x.created_at + CAST(:payment_window AS interval) + interval '5 minutes' < now()
    """
    return [Broken(row.id, f"{row.status}, but its time is up") for row in await look.rows(statement)]


_ROWS = """
    SELECT id::text AS id, status, updated_at > now() - CAST(:lag AS interval) AS is_early
    FROM bookings WHERE id = ANY (:ids)
"""
_AFTER_CONFIRMED = {
    BookingStatus.REFUNDING,
    BookingStatus.PARTIALLY_REFUNDED,
    BookingStatus.REFUNDED,
    BookingStatus.NEEDS_ATTENTION,
}
_SHOWN_WHILE_PAYING = {BookingStatus.HELD, BookingStatus.ACTION_REQUIRED}  # `paying` is too short to be shown
_AFTER_EXPIRED = _AFTER_CONFIRMED | {
    BookingStatus.EXPIRED,
    BookingStatus.PAYING,
    BookingStatus.CONFIRMED,
    BookingStatus.FAILED,
}


async def temporal_and_postgres_agree(look: Look) -> list[Broken]:
    """A booking's workflow shows its row's state while it runs, and closes with the state that its row has.

    What is past Temporal's retention is judged from Postgres alone, by the other checks.
    """
    sagas = await look.once(queries.sagas)
    unknown = set(sagas)
    broken = []
    async for row in look.stream(_ROWS, ids=[UUID(booking) for booking in sagas]):
        unknown.discard(row.id)
        if said := await _contradicts(look.sources.temporal, sagas[row.id], row.status):
            broken.append(Broken(row.id, f"{row.status}, but its workflow {said}", row.is_early))
    return broken + [
        Broken(booking, "its workflow has completed, and there is no such booking")
        for booking in unknown
        if sagas[booking].status == WorkflowExecutionStatus.COMPLETED
    ]


async def _contradicts(temporal: Client, saga: WorkflowExecution, status: str) -> str | None:
    """What a workflow says that is not so; one that was ended from outside says nothing."""
    shown = saga.typed_search_attributes.get(STATUS)
    if saga.status == WorkflowExecutionStatus.RUNNING:
        is_right = shown == status or (status == BookingStatus.PAYING and shown in _SHOWN_WHILE_PAYING)
        return None if is_right else f"shows {shown}"
    if saga.status != WorkflowExecutionStatus.COMPLETED or _may_have_become(shown, status):
        return None
    # The result is the truth, and costs a call; the attribute is as good where it agrees.
    result = await temporal.get_workflow_handle(saga.id, run_id=saga.run_id, result_type=Booking).result()
    return None if _may_have_become(result.status, status) else f"has ended as {result.status}"


def _may_have_become(ended_as: str | None, status: str) -> bool:
    """Whether other workflows may have brought a booking there since: a refund, or a late payment."""
    if ended_as == BookingStatus.EXPIRED:
        return status in _AFTER_EXPIRED
    return ended_as == status or (ended_as == BookingStatus.CONFIRMED and status in _AFTER_CONFIRMED)
