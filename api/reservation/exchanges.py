"""Exchanges over REST: exchange a ticket's seat, list and read exchanges, come back from the provider, abandon."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from api.auth.guards import PUBLIC, Buyer
from api.http.idempotency import IdempotencyKey
from api.http.problems import documented
from api.http.query_guard import ANY_QUERY
from api.reservation.buyer_returns import buyer_returned
from api.reservation.commands import exchange
from api.reservation.context import Reservation
from api.reservation.reads import OwnBooking, ReadableBooking, exchanges_of, require_exchange
from api.reservation.schemas import ExchangeBody
from api.reservation.views import ExchangeList, ExchangeView
from domain.exchanges import ExchangeState
from domain.problems import ProblemType
from workflows.ids import exchange_workflow_id

router = APIRouter(prefix="/v1/bookings/{booking_id}", tags=["exchanges"])

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Seatwright</title></head>
<body><h1>Thank you</h1><p>We are asking your bank. You can close this page and go back to the shop.</p></body></html>
"""


@router.post(
    "/exchange",
    name="exchange_seat",
    summary="Exchange a ticket's seat for another",
    responses={
        202: {
            "model": ExchangeView,
            "description": "The buyer has to act at `next_action.url`. Then the exchange goes on by itself.",
        },
        **documented(
            ProblemType.PAYMENT_DECLINED,
            ProblemType.NOT_FOUND,
            ProblemType.WRONG_STATE,
            ProblemType.SEATS_UNAVAILABLE,
            ProblemType.EXCHANGE_NOT_ALLOWED,
            ProblemType.EXCHANGE_IN_PROGRESS,
            ProblemType.EXCHANGE_FAILED,
            ProblemType.REFUND_IN_PROGRESS,
            ProblemType.UNKNOWN_TICKETS,
            ProblemType.AMOUNT_NOT_PAYABLE,
            ProblemType.UNKNOWN_SEATS,
            ProblemType.UNKNOWN_PROVIDER,
            ProblemType.IDEMPOTENCY_KEY_REUSED,
            ProblemType.OUTCOME_UNKNOWN,
        ),
    },
)
async def post_exchange(
    body: ExchangeBody, booking: OwnBooking, user: Buyer, context: Reservation, response: Response, key: IdempotencyKey
) -> ExchangeView:
    """The ticket is valid until the new one is issued. A difference is paid before that, or given back after it."""
    answer = await exchange.exchange(context, user, booking, body, key)
    response.headers["Location"] = f"/v1/bookings/{booking.id}/exchanges/{answer.body['id']}"
    response.status_code = answer.status
    return ExchangeView.model_validate(answer.body)


@router.get(
    "/exchanges",
    name="list_exchanges",
    summary="List a booking's newest 100 exchanges, oldest first",
    responses=documented(ProblemType.NOT_FOUND),
)
async def get_exchanges(booking: ReadableBooking, context: Reservation) -> ExchangeList:
    """Each has its `state`: `pending`, `action_required`, `committed`, `completed` or `failed`."""
    return ExchangeList(exchanges=[ExchangeView.of(each) for each in await exchanges_of(context, booking.id)])


@router.get(
    "/exchanges/{exchange_id}",
    name="get_exchange",
    summary="Read an exchange",
    responses=documented(ProblemType.NOT_FOUND),
)
async def get_exchange(booking: ReadableBooking, exchange_id: UUID, context: Reservation) -> ExchangeView:
    """The exchange as it is now."""
    return ExchangeView.of(await require_exchange(context, booking.id, exchange_id))


@router.delete(
    "/exchanges/{exchange_id}",
    name="abandon_exchange",
    summary="Abandon an exchange whose payment waits for you",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.WRONG_STATE, ProblemType.OUTCOME_UNKNOWN),
)
async def delete_exchange(booking: OwnBooking, exchange_id: UUID, context: Reservation) -> ExchangeView:
    """Nothing is charged and the ticket stays as it is. An exchange that has failed already is no error."""
    return ExchangeView.of(await exchange.abandon_exchange(context, booking.id, exchange_id))


@router.get(
    "/exchanges/{exchange_id}/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC, ANY_QUERY],
    name="return_from_exchange",
    summary="Come back from the payment provider to an exchange",
)
@router.post(
    "/exchanges/{exchange_id}/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC, ANY_QUERY],
    name="return_from_exchange_by_form",
    summary="Come back from the payment provider to an exchange, by a form",
)
async def come_back_to_exchange(booking_id: UUID, exchange_id: UUID, context: Reservation) -> HTMLResponse:
    """The provider sends the buyer's browser here. The exchange then asks the provider, at most every five seconds.

    It needs no token, shows nothing secret, and trusts nothing in the request.
    """
    found = await require_exchange(context, booking_id, exchange_id)
    if found.state is ExchangeState.ACTION_REQUIRED:
        await buyer_returned(context, exchange_id, exchange_workflow_id(exchange_id))
    return HTMLResponse(_PAGE, headers={"Cache-Control": "no-store"})
