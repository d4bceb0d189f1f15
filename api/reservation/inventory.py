"""Which places of an event are free, seat by seat or row by row."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth.guards import PUBLIC
from api.http.compression import accepts_gzip
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.http.resources import Open, ReservationDatabase
from api.reservation.context import Seats
from db.reservation import inventory
from db.reservation.inventory import SectionStock, Stock
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/events", tags=["reservation"], dependencies=[PUBLIC])


class SeatsAs(StrEnum):
    """How numbered seats are listed: each with its name (`seats`), or one letter for each in a text a row (`rows`)."""

    SEATS = "seats"
    ROWS = "rows"


class SeatBody(BaseModel):
    """A numbered seat."""

    name: str = Field(examples=["A-1-12"])
    status: Literal["available", "held", "sold"]


class SectionBody(BaseModel):
    """A section; `seats` or `rows` only where they are numbered."""

    name: str
    kind: Literal["seated", "general"]
    price: int
    capacity: int
    available: int
    seats: list[SeatBody] = []
    rows: list[str] | None = Field(
        default=None,
        description="With `format=rows`: one text for each row, beginning with row 1, and one letter for each seat,"
        " beginning with seat 1: `.` available, `h` held, `s` sold.",
        examples=[["..hss", "....."]],
    )


class PlacesBody(BaseModel):
    """The places of an event, by section. Prices are in minor units of `currency`."""

    event_id: UUID
    status: Literal["on_sale", "cancelled"]
    currency: str
    sections: list[SectionBody]


_SHOWN_AS: Final = {"claimed": "held", "sold": "sold"}
_LETTERS: Final = {"claimed": "h", "sold": "s"}


@router.get(
    "/{event_id}/seats",
    name="list_event_seats",
    summary="List an event's places: available, held or sold",
    response_model=PlacesBody,
    responses=documented(ProblemType.NOT_FOUND, ProblemType.UNAVAILABLE),
)
async def seats(
    event_id: UUID,
    engine: ReservationDatabase,
    opened: Open,
    listed: Annotated[SeatsAs, Query(alias="format", description="`rows` is 40 times shorter.")] = SeatsAs.SEATS,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """The state when it was read, for a large venue up to some seconds ago.

    Another buyer may take a seat before your hold, which then gets a refusal. A large venue has a long answer: let it
    be compressed (`Accept-Encoding: gzip`), and ask for `format=rows`.
    """
    zipped = accepts_gzip(accept_encoding)
    answer = await opened.part(Seats).answers.answer(
        (event_id, listed, zipped),
        lambda: with_deadline(_stock(engine, event_id)),
        partial(_encode, listed=listed, zipped=zipped),
    )
    if answer is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such event, or it is not on sale yet.")
    headers = {"ETag": answer.tag, "Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if zipped else {})
    return Response(answer.body, media_type="application/json", headers=headers)


async def _stock(engine: AsyncEngine, event_id: UUID) -> Stock | None:
    async with engine.connect() as connection:
        return await inventory.stock(connection, event_id)


def _encode(stock: Stock, listed: SeatsAs, zipped: bool) -> bytes:
    head = {"event_id": stock.event_id, "status": stock.status, "currency": stock.currency}
    sections = [_section(each, listed) for each in stock.sections]
    body = orjson.dumps(head | {"sections": [orjson.Fragment(section) for section in sections]})
    return gzip.compress(body, 5, mtime=0) if zipped else body


def _section(stock: SectionStock, listed: SeatsAs) -> bytes:
    section = stock.section
    head: dict[str, Any] = section.model_dump(include={"name", "kind", "price", "capacity"})
    if section.kind == "general":
        return orjson.dumps(head | {"available": section.capacity - stock.claimed})
    head["available"] = section.capacity - len(stock.taken)
    if listed is SeatsAs.ROWS:
        return orjson.dumps(head | {"rows": list(_rows(stock))})
    return orjson.dumps(head | {"seats": orjson.Fragment(_seats(stock))})


def _rows(stock: SectionStock) -> Iterator[str]:
    taken = {name: _LETTERS[status] for name, status in stock.taken.items()}
    for names in _names(stock):
        yield "".join([taken.get(name, ".") for name in names])


def _seats(stock: SectionStock) -> str:
    """JSON without a dictionary for each seat: an event may have 100,000."""
    taken = {name: _SHOWN_AS[status] for name, status in stock.taken.items()}
    names = (name for row in _names(stock) for name in row)
    section = len(stock.section.name)
    begin = f'{{"name":{orjson.dumps(stock.section.name).decode()[:-1]}'
    parts = [f'{begin}{name[section:]}","status":"{taken.get(name, "available")}"}}' for name in names]
    return f"[{','.join(parts)}]"


def _names(stock: SectionStock) -> Iterator[list[str]]:
    """The names of the seats, row by row, as `domain.seats.SeatName` writes them."""
    section = stock.section
    numbers = range(1, (section.seats_per_row or 0) + 1)
    for row in range(1, (section.rows or 0) + 1):
        yield [f"{section.name}-{row}-{number}" for number in numbers]
