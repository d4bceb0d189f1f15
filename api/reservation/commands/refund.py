"""Refund tickets: by the event's policy or, for staff, beyond it; a refund that the key has made is answered again."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.internal.personal_data import Purpose
from api.auth.tokens import Principal
from api.http.deadlines import with_deadline
from api.http.idempotency import digest, known_or_planned, refund_id_for, refuse_other_body
from api.http.sagas import WorkflowClosed, after_order, start_or_attach, unknown
from api.http.schemas import RequestModel
from api.reservation.answers import refusal
from api.reservation.booking_saga import about
from api.reservation.context import ReservationContext
from api.reservation.reads import STAFF, with_reasons
from api.reservation.schemas import RefundBody
from config.settings import secret
from db.reservation.refunds import refunds
from domain.bookings import Booking
from domain.problems import ProblemType, Refused
from domain.refunds import Refund, RefundCause, RefundOutcome, RefundRequest
from workflows.ids import start_refund
from workflows.refund import RefundWorkflow

log = structlog.get_logger()


class _Whole(RequestModel):
    """All that makes two requests the same: the digest is kept in clear, so it has nothing of the sealed reason."""

    booking_id: UUID
    tickets: tuple[UUID, ...]
    waive_policy: bool


async def refund(
    context: ReservationContext, caller: Principal, booking: Booking, body: RefundBody, key: str
) -> Refund:
    """Void the tickets, put their places on sale, and start to give the money back.

    Raises:
        Refused: The refund is not allowed, or its outcome is not known.
    """
    request = _request(context, caller, booking, body, key)
    known = await with_deadline(_prepare(context, request))
    if known is None:
        try:
            return await _made(context, caller, booking, request, body.reason)
        except WorkflowClosed:
            known = await _current(context, request)
    [made] = await with_reasons(context, booking, [known])
    return made


async def _made(
    context: ReservationContext, caller: Principal, booking: Booking, request: RefundRequest, reason: str
) -> Refund:
    sealed = await _sealed(context, request, booking.user_id, reason)
    request = request.model_copy(update={"sealed_reason": sealed})
    if request.cause is RefundCause.STAFF:
        action = "refund.policy-waived" if request.waives_policy else "refund.ordered"
        await context.recorder.record(caller, action, f"booking/{booking.id}", reason=reason)
    outcome = await _start(context, request)
    refuse_other_body(outcome.body_sha256, request.body_sha256)
    if outcome.refund is None:
        assert outcome.problem is not None
        raise refusal(outcome.problem)
    return outcome.refund.model_copy(update={"reason": reason if sealed else ""})


async def _sealed(context: ReservationContext, request: RefundRequest, owner: UUID, reason: str) -> str | None:
    """The reason under the key of the booking's owner; None if it cannot be kept.

    A buyer's refund needs no identity service: its policy may end before identity is back.

    Raises:
        Refused: UNAVAILABLE: Identity gives no proper answer, and the refund is one by staff, which needs its reason.
    """
    try:
        return await context.personal_data.seal(owner, Purpose.REFUND_REASON, reason)
    except Refused as refused:
        if request.cause is RefundCause.STAFF:
            raise
        log.warning("reason_not_sealed", booking_id=str(request.booking_id), error=refused.problem.detail)
        return None


def check_waiver(caller: Principal, booking: Booking, waive_policy: bool) -> None:
    """Check that the caller may waive the policy: staff may, but not in favour of themselves.

    Raises:
        Refused: FORBIDDEN: The caller is not staff, or has bought the tickets.
    """
    if not waive_policy:
        return
    if not caller.roles & STAFF:
        raise Refused(ProblemType.FORBIDDEN, "Only support and operators may waive an event's policy.")
    if booking.user_id == caller.user_id:
        raise Refused(ProblemType.FORBIDDEN, "This is your own booking: let a colleague waive the policy.")


def _request(
    context: ReservationContext, caller: Principal, booking: Booking, body: RefundBody, key: str
) -> RefundRequest:
    check_waiver(caller, booking, body.waive_policy)
    tickets = tuple(sorted(set(body.tickets)))
    whole = _Whole(booking_id=booking.id, tickets=tickets, waive_policy=body.waive_policy)
    return RefundRequest(
        id=refund_id_for(caller.user_id, key, secret(context.settings.booking_id_secret)),
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=caller.user_id,
        cause=RefundCause.BUYER if booking.user_id == caller.user_id else RefundCause.STAFF,
        reason="",
        tickets=tickets,
        waives_policy=body.waive_policy,
        body_sha256=digest(whole),
        attempts=context.settings.compensation_attempts,
    )


async def _prepare(context: ReservationContext, request: RefundRequest) -> Refund | None:
    """The refund that this key has made already; None where it may be started."""
    async with context.engine.connect() as connection:
        return await known_or_planned(
            lambda: _known(connection, request),
            lambda: refunds.plan(connection, request.booking_id, request.tickets, waived=request.waives_policy),
        )


async def _known(connection: AsyncConnection, request: RefundRequest) -> Refund | None:
    known = await refunds.find(connection, request.id)
    if known:
        refuse_other_body(await refunds.digest_of(connection, request.id), request.body_sha256)
    return known


async def _start(context: ReservationContext, request: RefundRequest) -> RefundOutcome:
    """Wait until the refund is accepted or refused."""
    return await start_or_attach(
        context.temporal,
        RefundWorkflow.run,
        request,
        start_refund(request),
        RefundWorkflow.accepted,
        about=about(request.booking_id),
        wait=context.settings.payment_wait,
    )


async def _current(context: ReservationContext, request: RefundRequest) -> Refund:
    """The refund after its workflow has ended."""
    with after_order(about(request.booking_id)):
        known = await with_deadline(_prepare(context, request))
    if known is None:
        raise unknown(about(request.booking_id))
    return known
