"""What the reservation service's commands answer: a body with its status, or a refusal that names the booking."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Generic, NamedTuple, TypeVar

from api.http.sagas import unknown
from api.reservation.booking_saga import about
from domain.bookings import ENDED, PAID, Booking, BookingStatus
from domain.problems import Problem, ProblemType, Refused

Body = TypeVar("Body")


class Answer(NamedTuple, Generic[Body]):
    """A successful answer: 200 where it is final, 202 while the buyer has to act or the work goes on."""

    body: Body
    status: HTTPStatus = HTTPStatus.OK


def as_first_answered(booking: Booking) -> Booking:
    """A repeated hold gets its first answer again; `GET` says how the booking is now."""
    return booking.model_copy(update={"status": BookingStatus.HELD, "version": 1, "tickets": ()})


def refusal(problem: Problem, **members: str) -> Refused:
    """A problem of a saga, with what it is about; the problem's own members come last."""
    return Refused(problem.type, problem.detail, **dict[str, Any](members) | problem.members)


def refusal_of(booking: Booking, type: ProblemType, detail: str) -> Refused:
    """Why a booking does not allow a command, with its status."""
    return Refused(type, detail, booking_id=str(booking.id), booking_status=booking.status)


def closed(booking: Booking) -> Refused:
    """Why a booking whose saga takes no commands any more does not allow one."""
    if booking.status in PAID - {BookingStatus.REFUNDED}:
        return refusal_of(booking, ProblemType.REFUND_REQUIRED, "The booking is paid: request a refund instead.")
    if booking.status in ENDED | {BookingStatus.REFUNDED}:
        return refusal_of(booking, ProblemType.WRONG_STATE, f"The booking is {booking.status}.")
    # Its workflow is gone before its end; recovery will start it again.
    return unknown(about(booking.id))
