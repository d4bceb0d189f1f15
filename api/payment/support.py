"""Finds payments for support by the provider's id, or by a booking."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints

from api.auth.audit import Recorder
from api.auth.guards import Staff
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.http.resources import PaymentDatabase
from api.http.schemas import ProviderName, Storable
from db.payment import search
from db.payment.attempts import AttemptState
from db.payment.search import FoundAttempt
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/support", tags=["support"])

ProviderId = Annotated[str, StringConstraints(min_length=1, max_length=255), Storable]


class FoundPayment(BaseModel):
    """One attempt to pay for a booking, or for an exchange of one of its tickets. The amount is in minor units."""

    booking_id: UUID
    number: int = Field(description="Counts the attempts of a booking, from 1")
    exchange_id: UUID | None
    provider: ProviderName
    provider_id: str | None = Field(description="The provider's own id; null where the provider never answered")
    state: AttemptState
    amount: int
    currency: str
    decline_code: str | None = Field(description="The provider's code for a decline; null without one")


class FoundPayments(BaseModel):
    """The attempts that match, newest first: at most 50."""

    payments: list[FoundPayment] = Field(description="Newest first")


@router.get("/payments", summary="Find payments", responses=documented(ProblemType.FORBIDDEN))
async def find_payments(
    caller: Staff,
    engine: PaymentDatabase,
    recorder: Recorder,
    provider_id: Annotated[
        ProviderId | None, Query(description="the payment's id at the provider, or that of a message")
    ] = None,
    booking_id: UUID | None = None,
) -> FoundPayments:
    """Give exactly one parameter. Each call is recorded in the audit log. `booking_id` leads to the booking."""
    if (provider_id is None) == (booking_id is None):
        raise Refused(ProblemType.INVALID_REQUEST, "Give exactly one of provider_id, booking_id.", field="query")

    async def read() -> list[FoundAttempt]:
        async with engine.connect() as connection:
            return await search.find(connection, provider_id=provider_id, booking_id=booking_id)

    found = await with_deadline(read())
    bookings = [booking_id] if booking_id else dict.fromkeys(each.booking_id for each in found)
    for object_ in [f"booking/{id}" for id in bookings] or ["payment/unknown"]:
        await recorder.record(caller, "payment.searched", object_, typed=provider_id)
    return FoundPayments(payments=[FoundPayment(**each._asdict()) for each in found])
