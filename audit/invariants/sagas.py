"""Every open booking has a running workflow, and Temporal and Postgres show the same states."""

from __future__ import annotations

from uuid import UUID

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from audit import queries
from audit.connections import EVENT_FILTER
from audit.snapshot import Snapshot, Violation
from domain.bookings import Booking, BookingStatus
from temporal.search_attributes import REFUSED, STATUS

_UNFINISHED = "('held', 'paying', 'action_required', 'needs_attention', 'refunding')"

_UNDER_WAY = "('pending', 'action_required', 'committed')"


async def every_open_booking_has_a_running_saga(snapshot: Snapshot) -> list[Violation]:
    """Each open booking, and each booking with an open exchange, has a running workflow."""
    statement = f"""
        SELECT id::text AS id, status FROM bookings
        WHERE (status IN {_UNFINISHED} AND updated_at < now() - interval '2 seconds'
               OR id IN ({queries.BOOKINGS_IN_EXCHANGE} AND created_at < now() - interval '2 seconds'))
          AND {EVENT_FILTER.format("event_id")}
    """
    rows = await snapshot.rows(statement)
    running = await snapshot.read(queries.running) if rows else set()
    return [Violation(row.id, f"{row.status}, but its saga is not running") for row in rows if row.id not in running]


async def no_booking_outlasts_its_window(snapshot: Snapshot) -> list[Violation]:
    """No hold lasts a minute beyond its expiry, no payment or exchange five minutes beyond the payment window."""
    statement = f"""
        SELECT id::text AS id, status FROM bookings
        WHERE {EVENT_FILTER.format("event_id")} AND (
            status = 'held' AND greatest(expires_at, updated_at) + interval '1 minute' < now()
            OR status IN ('paying', 'action_required')
               AND updated_at + CAST(:payment_window AS interval) + interval '5 minutes' < now()
        )
        UNION ALL
        SELECT b.id::text, 'in exchange' FROM exchanges x JOIN bookings b ON b.id = x.booking_id
        WHERE {EVENT_FILTER.format("b.event_id")} AND x.state IN {_UNDER_WAY} AND NOT x.needs_attention
          AND x.created_at + CAST(:payment_window AS interval) + interval '5 minutes' < now()
    """
    return [Violation(row.id, f"{row.status}, but its time is up") for row in await snapshot.rows(statement)]


MANY_TRIES = 5
"""After half a minute, since Temporal waits longer before each try: a worker that restarts costs one or two."""


async def no_saga_fails_for_ever(snapshot: Snapshot) -> list[Violation]:
    """No saga that may still move money fails the same task again and again: it runs, but takes no step or command."""
    tried = await snapshot.read(queries.failing_tasks)
    return [
        Violation(subject, f"its saga's task has been tried {count} times")
        for subject, count in tried.items()
        if count >= MANY_TRIES
    ]


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
_SHOWN_WHILE_PAYING = {
    BookingStatus.HELD,
    BookingStatus.ACTION_REQUIRED,
}  # a workflow does not show the short state `paying`
_LATER: dict[str, set[BookingStatus]] = {
    BookingStatus.EXPIRED: _AFTER_CONFIRMED | {BookingStatus.PAYING, BookingStatus.CONFIRMED, BookingStatus.FAILED},
    BookingStatus.CONFIRMED: _AFTER_CONFIRMED,
    # The workflow of a booking that was paid before, and was reset or started again since, ends at once.
    BookingStatus.REFUNDING: _AFTER_CONFIRMED | {BookingStatus.CONFIRMED},
    BookingStatus.PARTIALLY_REFUNDED: _AFTER_CONFIRMED,
    BookingStatus.REFUNDED: {BookingStatus.REFUNDING, BookingStatus.NEEDS_ATTENTION},
}
"""What a booking may become after its workflow has completed with a status."""


async def temporal_and_postgres_agree(snapshot: Snapshot) -> list[Violation]:
    """A booking's workflow shows the row's state while it runs, and completes with the row's state.

    Workflows older than Temporal's retention are covered by the other invariants, which read Postgres.
    """
    sagas = await snapshot.read(queries.sagas)
    unknown = set(sagas)
    violations = []
    async for row in snapshot.stream(_ROWS, ids=[UUID(booking) for booking in sagas]):
        unknown.discard(row.id)
        if contradiction := await _contradiction(snapshot.connections.temporal, sagas[row.id], row.status):
            violations.append(Violation(row.id, f"{row.status}, but its workflow {contradiction}", row.is_early))
    return violations + [
        Violation(booking, "its workflow has completed, and there is no such booking")
        for booking in unknown
        if sagas[booking].status == WorkflowExecutionStatus.COMPLETED
        and sagas[booking].typed_search_attributes.get(STATUS) != REFUSED
    ]


async def _contradiction(temporal: Client, saga: WorkflowExecution, status: str) -> str | None:
    """How a workflow contradicts the row; a workflow that was terminated from outside does not."""
    shown = saga.typed_search_attributes.get(STATUS)
    if saga.status == WorkflowExecutionStatus.RUNNING:
        is_right = shown == status or (status == BookingStatus.PAYING and shown in _SHOWN_WHILE_PAYING)
        return None if is_right else f"shows {shown}"
    if saga.status != WorkflowExecutionStatus.COMPLETED or may_have_become(shown, status):
        return None
    if shown == REFUSED:
        return "has refused it"
    # The result decides, but reading it is a call; if the search attribute agrees, it is enough.
    result = await temporal.get_workflow_handle(saga.id, run_id=saga.run_id, result_type=Booking).result()
    return None if may_have_become(result.status, status) else f"completed as {result.status}"


def may_have_become(ended_as: str | None, status: str) -> bool:
    """Whether a refund or a late payment may have moved the booking to this status since."""
    return ended_as == status or status in _LATER.get(ended_as or "", ())
