"""Where a buyer's browser comes back to from a payment provider's page."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from fastapi import APIRouter, status
from fastapi.responses import RedirectResponse
from temporalio.service import RPCError

from api.resources import Open
from workflows.booking import BookingWorkflow
from workflows.start import workflow_id

router = APIRouter(prefix="/v1", tags=["bookings"])


@router.get("/bookings/{booking_id}/payment/return", include_in_schema=False)
@router.post("/bookings/{booking_id}/payment/return", include_in_schema=False)
async def come_back(booking_id: UUID, opened: Open) -> RedirectResponse:
    """Have the saga ask the provider at once, and lead to the booking.

    Nothing that the browser brings is believed, nor even read: so anybody may call this, and all that it can do is to
    make the saga look.
    """
    handle = opened.temporal.get_workflow_handle_for(BookingWorkflow.run, workflow_id(booking_id))
    with suppress(RPCError):  # the booking has ended, or the saga will ask by itself a little later
        await handle.signal(BookingWorkflow.provider_has_news)
    return RedirectResponse(f"/v1/bookings/{booking_id}", status.HTTP_303_SEE_OTHER)
