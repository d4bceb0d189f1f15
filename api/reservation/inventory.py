"""Which places of an event are free, seat by seat."""

from __future__ import annotations

import asyncio
from typing import Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth.guards import PUBLIC
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.http.resources import ReservationDatabase
from db.reservation import inventory
from db.reservation.inventory import SectionStock, Stock
from domain.problems import ProblemType, Refused
from domain.seats import SeatName

router = APIRouter(prefix="/v1/events", tags=["reservation"], dependencies=[PUBLIC])


class SeatBody(BaseModel):
    """A numbered seat."""

    name: str = Field(examples=["A-1-12"])
    status: Literal["available", "held", "sold"]


class SectionBody(BaseModel):
    """A section; `seats` only where they are numbered."""

    name: str
    kind: Literal["seated", "general"]
    price: int
    capacity: int
    available: int
    seats: list[SeatBody] = []


class PlacesBody(BaseModel):
    """The places of an event, by section. Prices are in minor units of `currency`."""

    event_id: UUID
    status: Literal["on_sale", "cancelled"]
    currency: str
    sections: list[SectionBody]


_SHOWN_AS = {"claimed": "held", "sold": "sold"}


@router.get(
    "/{event_id}/seats",
    name="list_event_seats",
    summary="List an event's places: available, held or sold",
    response_model=PlacesBody,
    responses=documented(ProblemType.NOT_FOUND, ProblemType.UNAVAILABLE),
)
async def seats(event_id: UUID, engine: ReservationDatabase) -> Response:
    """The state when it was read: another buyer may take a seat before your hold, which then gets a refusal."""
    stock = await with_deadline(_stock(engine, event_id))
    if stock is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such event, or it is not on sale yet.")
    # A large venue takes a tenth of a second, and other requests must not wait for it.
    return Response(await asyncio.to_thread(_encode, stock), media_type="application/json")


async def _stock(engine: AsyncEngine, event_id: UUID) -> Stock | None:
    async with engine.connect() as connection:
        return await inventory.stock(connection, event_id)


def _encode(stock: Stock) -> bytes:
    return orjson.dumps(
        {
            "event_id": stock.event_id,
            "status": stock.status,
            "currency": stock.currency,
            "sections": [_section(each) for each in stock.sections],
        }
    )


def _section(stock: SectionStock) -> dict[str, Any]:
    section = stock.section
    head = {"name": section.name, "kind": section.kind, "price": section.price, "capacity": section.capacity}
    if section.kind == "general":
        return head | {"available": section.capacity - stock.claimed}
    return head | {"available": section.capacity - len(stock.taken), "seats": _seats(stock)}


def _seats(stock: SectionStock) -> list[dict[str, Any]]:
    section, taken = stock.section, stock.taken
    names = (
        str(SeatName(section.name, row, number))
        for row in range(1, (section.rows or 0) + 1)
        for number in range(1, (section.seats_per_row or 0) + 1)
    )
    return [{"name": name, "status": _SHOWN_AS[taken[name]] if name in taken else "available"} for name in names]
