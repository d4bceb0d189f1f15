"""Refunds over REST: give tickets back, and list a booking's refunds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response, status

from adapters.internal.bookings import STRICT
from api.auth.guards import Buyer
from api.http.idempotency import IdempotencyKey
from api.http.problems import documented
from api.reservation.commands import refund
from api.reservation.context import Reservation
from api.reservation.reads import ReadableBooking, refunds_of
from api.reservation.schemas import RefundBody
from api.reservation.views import RefundList
from domain.problems import ProblemType
from domain.refunds import Refund

router = APIRouter(prefix="/v1/bookings/{booking_id}", tags=["bookings"])


@router.post(
    "/refund",
    name="refund_tickets",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Give tickets back",
    responses=documented(
        ProblemType.NOT_FOUND,
        ProblemType.FORBIDDEN,
        ProblemType.WRONG_STATE,
        ProblemType.REFUND_NOT_ALLOWED,
        ProblemType.REFUND_IN_PROGRESS,
        ProblemType.UNKNOWN_TICKETS,
        ProblemType.IDEMPOTENCY_KEY_REUSED,
        ProblemType.OUTCOME_UNKNOWN,
    ),
)
async def post_refund(
    body: RefundBody,
    user: Buyer,
    booking: ReadableBooking,
    context: Reservation,
    response: Response,
    key: IdempotencyKey,
) -> Refund:
    """The tickets are void and their places on sale at once. The money follows: read `state`, or the booking."""
    response.headers["Location"] = f"/v1/bookings/{booking.id}/refunds"
    return await refund.refund(context, user, booking, body, key)


@router.get(
    "/refunds",
    name="list_refunds",
    summary="List a booking's refunds, oldest first",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.UNAVAILABLE),
)
async def get_refunds(
    booking: ReadableBooking, context: Reservation, prefer: Annotated[str, Header(include_in_schema=False)] = ""
) -> RefundList:
    """Each has its `state`: `pending`, `needs_attention` or `succeeded`.

    A reason that a person gave is stored sealed with the buyer's key. It is empty once the buyer is erased, and
    while it cannot be opened.
    """
    return RefundList(refunds=await refunds_of(context, booking, strict=prefer == STRICT))
