"""Bookings and their claims in Postgres, which decides.

Each change of state is one transaction: row, places, domain event and outbox. It names the version that it starts from,
so that a retried step finds that it is done, and a step of a dead worker finds that it is too late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, bindparam, case, func, null, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from db.outbox import append
from db.reservation import offers
from db.reservation.bookings import begun_payment, free_places
from db.reservation.tables import BookingRow, EventRow, GeneralClaimRow, SeatRow, SectionRow
from db.reservation.tickets import tickets_of
from domain.bookings import EDGES, OVER, PAID, Booking, BookingRequest, BookingStatus, PaymentId, seats_unavailable
from domain.domain_events import BookingEvent, BookingHeld
from domain.problems import Problem, ProblemType, Refused


class StaleStep(Exception):
    """The booking has changed since this step was scheduled, so the step is too late."""


async def find(connection: AsyncConnection, booking_id: UUID) -> Booking | None:
    """The booking with its live tickets, or None."""
    row: Any = (await connection.execute(_FIND, {"of_booking": booking_id})).one_or_none()
    return await with_tickets(connection, row) if row else None


class ToBePaid(NamedTuple):
    """A booking with the database's clock (UTC), and the providers that its event admits; None for any."""

    booking: Booking
    now: datetime
    providers: Sequence[str] | None


async def find_to_be_paid(connection: AsyncConnection, booking_id: UUID) -> ToBePaid | None:
    """As `find`, with the conditions for a payment."""
    row: Any = (await connection.execute(_FIND_TO_BE_PAID, {"of_booking": booking_id})).one_or_none()
    return ToBePaid(await with_tickets(connection, row), row.clock, row.providers) if row else None


_FIND = select(BookingRow).where(BookingRow.id == bindparam("of_booking"))
_FIND_TO_BE_PAID = (
    select(BookingRow, func.now().label("clock"), EventRow.providers)
    .join(EventRow, EventRow.id == BookingRow.event_id)
    .where(BookingRow.id == bindparam("of_booking"))
)


async def now(connection: AsyncConnection) -> datetime:
    """The database's clock (UTC)."""
    return (await connection.execute(select(func.now()))).scalar_one()


async def with_tickets(connection: AsyncConnection, row: Row[Any]) -> Booking:
    """A booking as its row describes it, with its live tickets."""
    tickets = await tickets_of(connection, row.id) if row.status in PAID else ()
    return without_tickets(row).model_copy(update={"tickets": tickets})


def without_tickets(row: Row[Any]) -> Booking:
    """A booking as its row describes it."""
    return Booking(
        id=row.id,
        version=row.version,
        user_id=row.user_id,
        event_id=row.event_id,
        status=BookingStatus(row.status),
        seats=tuple(row.seats),
        quantities=row.quantities,
        amount=row.amount,
        currency=row.currency,
        expires_at=row.expires_at,
        refunded=row.refunded,
    )


async def ended(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, BookingStatus]:
    """Which of these bookings have ended, with their states."""
    over = select(BookingRow.id, BookingRow.status).where(BookingRow.id.in_(ids), BookingRow.status.in_(OVER))
    return {row.id: BookingStatus(row.status) for row in await connection.execute(over)}


async def claim(connection: AsyncConnection, request: BookingRequest) -> Booking:
    """Claim all places of a request and create its booking; an existing booking is returned unchanged.

    Raises:
        Refused: The event is not on sale, has no such places, or other bookings have them; the user has too many that
            cost nothing; or the request came too late. Then nothing is changed.
    """
    offered = await offers.find_sale(connection, request.event_id, lock=True)
    amount = offers.price_of(offered.sections, request.seats, request.quantities)
    booking = await _insert(connection, request, offered, amount)
    if booking is None:
        return await _known_or_late(connection, request)
    free = free_places.count(offered.sections, request.seats, request.quantities)
    await free_places.check(connection, request.user_id, request.event_id, free, most=request.policy.free_places)
    await claim_places(connection, booking)
    await append(connection, booking.id, held(booking))
    return booking


async def _known_or_late(connection: AsyncConnection, request: BookingRequest) -> Booking:
    """Why the row was not created: an earlier try created it, or the caller has given up."""
    if known := await find(connection, request.id):
        return known
    raise too_late()


def too_late() -> Refused:
    """The refusal of a request whose caller has given up; the caller may repeat it."""
    return Refused(ProblemType.UNAVAILABLE, "The request waited for too long; nothing was done: try again.")


async def _insert(
    connection: AsyncConnection, request: BookingRequest, sale: offers.Sale, amount: int
) -> Booking | None:
    """Create the booking's row, unless there is one already or the request came too late."""
    if request.not_after and sale.now >= request.not_after:
        return None
    values = {
        "id": request.id,
        "user_id": request.user_id,
        "event_id": request.event_id,
        "seats": list(request.seats),
        "quantities": request.quantities,
        "amount": amount,
        "currency": sale.currency,
        "body_sha256": request.body_sha256,
        "accept_alternatives": request.accept_alternatives,
        "held_until": min(sale.now + timedelta(seconds=sale.hold_seconds), sale.starts_at),
    }
    row = (await connection.execute(_MAKE, values)).one_or_none()
    return without_tickets(row) if row else None


_MAKE = (
    insert(BookingRow)
    .values(status=BookingStatus.HELD, expires_at=bindparam("held_until"))
    .on_conflict_do_nothing()
    .returning(BookingRow)
)


async def claim_places(connection: AsyncConnection, booking: Booking) -> None:
    """Make the booking the owner of all its places.

    Raises:
        Refused: Other bookings have some of them.
    """
    await _claim_general(connection, booking)
    await _claim_seats(connection, booking)


async def _claim_seats(connection: AsyncConnection, booking: Booking) -> None:
    if not booking.seats:
        return
    claim = {"event_id": booking.event_id, "names": list(booking.seats), "booking_id": booking.id}
    claimed = set((await connection.execute(_CLAIM_SEATS, claim)).scalars())
    if taken := [name for name in booking.seats if name not in claimed]:
        raise seats_unavailable(taken)


# All transactions lock in this order, so that overlapping claims wait for each other and do not deadlock.
_CLAIM_SEATS = text(
    """
    WITH free AS MATERIALIZED (
        SELECT event_id, name FROM seats
        WHERE event_id = :event_id AND name = ANY (CAST(:names AS text[])) AND status = 'available'
        ORDER BY name FOR UPDATE
    )
    UPDATE seats SET status = 'claimed', booking_id = :booking_id, version = version + 1
    FROM free WHERE seats.event_id = free.event_id AND seats.name = free.name RETURNING seats.name
    """
)


async def _claim_general(connection: AsyncConnection, booking: Booking) -> None:
    for section, quantity in sorted(booking.quantities.items()):
        counted = await connection.execute(
            update(SectionRow)
            .where(SectionRow.event_id == booking.event_id, SectionRow.name == section)
            .where(SectionRow.claimed + quantity <= SectionRow.capacity)
            .values(claimed=SectionRow.claimed + quantity)
        )
        if counted.rowcount == 0:
            raise seats_unavailable([section])
        await connection.execute(
            insert(GeneralClaimRow).values(
                booking_id=booking.id,
                event_id=booking.event_id,
                section=section,
                quantity=quantity,
                status="claimed",
            )
        )


async def move(
    connection: AsyncConnection,
    booking_id: UUID,
    *,
    version: int,
    to: BookingStatus,
    tells: Callable[[Booking], BookingEvent],
    action_url: str | None = None,
    problem: Problem | None = None,
    payment: PaymentId | None = None,
) -> Booking:
    """Bring a booking from its state at `version` to the state `to`, and append the domain event.

    A retry finds the booking there already and changes a payment's command at most. Tickets are not read.

    Args:
        connection: In a transaction of the reservation service's database.
        booking_id: Which booking.
        version: Its version before the change.
        to: Its state after it.
        tells: Makes the domain event.
        action_url: Where the buyer has to act, for `action_required`.
        problem: Why the payment failed, for `held` and for an end; None keeps the last known reason.
        payment: The command that begins a payment, for `paying`; None keeps that of a payment that goes on.

    Raises:
        StaleStep: The booking is neither at `version` nor at `to`, or may not go there.
    """
    values: dict[str, Any] = {"of_booking": booking_id, "at_version": version}
    if to is BookingStatus.ACTION_REQUIRED:
        values["to_act_at"] = action_url
    if to in _UNPAID:
        values["came_to_nothing"] = problem.model_dump(mode="json") if problem else None
    if to is BookingStatus.PAYING:
        values |= begun_payment.values(payment)
    moved = await connection.execute(_moving(to), values)
    row = moved.one_or_none()
    if row is None:
        await begun_payment.remember(connection, booking_id, version, payment)
        return await _already(connection, booking_id, version, to)
    booking = without_tickets(row)
    await append(connection, booking_id, tells(booking))
    return booking


_UNPAID = frozenset({BookingStatus.HELD, BookingStatus.CANCELLED, BookingStatus.EXPIRED, BookingStatus.FAILED})


@cache
def _moving(to: BookingStatus) -> ReturningUpdate[Any]:
    legal = [status for status, targets in EDGES.items() if to in targets]
    values: dict[str, Any] = {"status": to, "version": BookingRow.version + 1, "cancel_asked_at": None}
    values["action_url"] = bindparam("to_act_at") if to is BookingStatus.ACTION_REQUIRED else None
    if to in _UNPAID:
        why = bindparam("came_to_nothing", type_=JSONB(none_as_null=True))
        values["payment_problem"] = func.coalesce(why, BookingRow.payment_problem)
    elif to is not BookingStatus.NEEDS_ATTENTION:
        values["payment_problem"] = null()
    if to is BookingStatus.PAYING:
        # A payment that an older worker's workflow begins has no command, and must not be taken for the one before.
        goes_on = BookingRow.status != BookingStatus.HELD
        for given, kept in (("begun_by", BookingRow.payment_command), ("of_body", BookingRow.payment_body_sha256)):
            values[kept.key] = func.coalesce(bindparam(given), case((goes_on, kept)))
    changed = (
        update(BookingRow)
        .where(BookingRow.id == bindparam("of_booking"), BookingRow.version == bindparam("at_version"))
        .where(BookingRow.status.in_(legal))
    )
    if to is BookingStatus.CONFIRMED:
        changed = changed.where(~BookingRow.tickets_forbidden)
    if to is BookingStatus.HELD:
        values["tickets_forbidden"] = False  # it was about the previous payment
    return changed.values(**values, updated_at=func.now()).returning(BookingRow)


async def _already(connection: AsyncConnection, booking_id: UUID, version: int, to: BookingStatus) -> Booking:
    booking = await find(connection, booking_id)
    if booking is None or booking.status is not to:
        where = f"{booking.status} at version {booking.version}" if booking else "missing"
        raise StaleStep(f"booking {booking_id} is {where}: too late to make version {version} {to}")
    return booking


async def ask_to_cancel(connection: AsyncConnection, booking_id: UUID) -> None:
    """Let the payment that is under way fail when it tries to commit its seats."""
    paying = BookingRow.status.in_([BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED])
    asked = update(BookingRow).where(BookingRow.id == booking_id, paying).values(cancel_asked_at=func.now())
    await connection.execute(asked)


_MAY_BE_PAID = (BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED, BookingStatus.NEEDS_ATTENTION)


async def forbid_tickets(connection: AsyncConnection, booking_id: UUID) -> None:
    """Stop the payment that is under way from selling the seats and issuing tickets; issued tickets stay."""
    barred = update(BookingRow).where(BookingRow.id == booking_id, BookingRow.status.in_(_MAY_BE_PAID))
    await connection.execute(barred.values(tickets_forbidden=True))


async def sell(connection: AsyncConnection, booking: Booking) -> None:
    """Turn the booking's claims into sold places, if it still has them and the event is not cancelled.

    A hold ends when its event begins at the latest, and a payment that was begun before its hold ended is completed.

    Raises:
        Refused: The event is cancelled, the claim is gone, the buyer has cancelled (`wrong-state`), or the money is
            being returned (`booking-failed`); then nothing is changed.
    """
    ids = {"booking_id": booking.id, "event_id": booking.event_id}
    sale = (await connection.execute(_LOCK_SALE, ids)).one_or_none()
    if sale is None:
        raise offers.not_on_sale(booking.event_id)
    if sale.cancel_asked_at:
        raise Refused(ProblemType.WRONG_STATE, "The booking was cancelled; nothing is charged.")
    if sale.tickets_forbidden:
        raise Refused(ProblemType.BOOKING_FAILED, "The booking could not be completed; nothing is charged.")
    sold = general = 0
    if booking.seats:
        mine = {"event_id": booking.event_id, "names": list(booking.seats), "booking_id": booking.id}
        sold = (await connection.execute(_SELL_SEATS, mine)).rowcount
    if booking.quantities:
        claims = update(GeneralClaimRow).where(GeneralClaimRow.booking_id == booking.id).values(status="sold")
        general = (await connection.execute(claims)).rowcount
    if sold != len(booking.seats) or general != len(booking.quantities):
        raise Refused(ProblemType.SEATS_UNAVAILABLE, "The claim on the seats was lost.", seats=list(booking.seats))


_LOCK_SALE = (
    select(BookingRow.cancel_asked_at, BookingRow.tickets_forbidden)
    .join(EventRow, EventRow.id == BookingRow.event_id)
    .where(BookingRow.id == bindparam("booking_id"), EventRow.status == "on_sale", offers.GATE)
    .with_for_update(read=True)
)
_SELL_SEATS = text(
    """
    UPDATE seats SET status = 'sold', version = version + 1
    WHERE event_id = :event_id AND name = ANY (CAST(:names AS text[])) AND booking_id = :booking_id
    """
)


async def release(connection: AsyncConnection, booking_id: UUID) -> None:
    """Put all places of the booking, claimed or sold, back on sale.

    Sections and then seats are locked by name, as everywhere. An UPDATE alone would lock in the order of its plan.
    """
    own = (GeneralClaimRow.event_id == SectionRow.event_id) & (GeneralClaimRow.section == SectionRow.name)
    sections = select(SectionRow.name).join(GeneralClaimRow, own).where(GeneralClaimRow.booking_id == booking_id)
    await connection.execute(sections.order_by(SectionRow.name).with_for_update(of=SectionRow))
    await connection.execute(_RELEASE_GENERAL, {"booking_id": booking_id})
    seats = select(SeatRow.name).where(SeatRow.booking_id == booking_id)
    await connection.execute(seats.order_by(SeatRow.name).with_for_update())
    await connection.execute(
        update(SeatRow)
        .where(SeatRow.booking_id == booking_id)
        .values(status="available", booking_id=None, version=SeatRow.version + 1)
    )


_RELEASE_GENERAL = text(
    """
    WITH gone AS (DELETE FROM general_claims WHERE booking_id = :booking_id RETURNING event_id, section, quantity)
    UPDATE sections SET claimed = claimed - gone.quantity
    FROM gone WHERE sections.event_id = gone.event_id AND sections.name = gone.section
    """
)


def held(booking: Booking) -> BookingHeld:
    """The domain event of a booking that is held."""
    return BookingHeld(
        **identity(booking),
        seats=booking.seats,
        quantities=booking.quantities,
        amount=booking.amount,
        currency=booking.currency,
        expires_at=booking.expires_at,
    )


def identity(booking: Booking) -> dict[str, Any]:
    """The fields that every domain event of a booking has."""
    return {
        "booking_id": booking.id,
        "event_id": booking.event_id,
        "user_id": booking.user_id,
        "status": booking.status,
    }
