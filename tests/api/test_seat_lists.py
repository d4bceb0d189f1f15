"""The list of an event's seats: short, compressed, and made once for all simultaneous requests."""

from __future__ import annotations

import gzip
import json
from typing import Any
from uuid import uuid4

import pytest

from api.http.compression import accepts_gzip
from api.reservation.inventory import PlacesBody, SeatsAs, _encode
from db.reservation.inventory import SectionStock, Stock
from domain.catalogue import Section
from domain.seats import SeatName

KURVE = 'Süd-"Kurve" 1'


def stock(taken: dict[str, str], rows: int = 2, seats_per_row: int = 3) -> Stock:
    seated = Section(
        name=KURVE, kind="seated", price=4500, capacity=rows * seats_per_row, rows=rows, seats_per_row=seats_per_row
    )
    standing = Section(name="Standing", kind="general", price=2000, capacity=10)
    named = {f"{KURVE}-{place.replace('_', '-')}": status for place, status in taken.items()}
    return Stock(uuid4(), "on_sale", "EUR", [SectionStock(seated, 0, named), SectionStock(standing, 4, {})])


def listed(given: Stock, how: SeatsAs) -> list[dict[str, Any]]:
    answer = json.loads(_encode(given, how, False))
    PlacesBody.model_validate(answer)
    sections: list[dict[str, Any]] = answer["sections"]
    return sections


TAKEN = {"1_2": "claimed", "2_3": "sold"}


def test_each_seat_is_listed_with_its_name() -> None:
    seated, standing = listed(stock(TAKEN), SeatsAs.SEATS)
    names = [str(SeatName(KURVE, row, number)) for row in (1, 2) for number in (1, 2, 3)]
    shown_as = ["available", "held", "available", "available", "available", "sold"]
    assert seated["seats"] == [{"name": name, "status": status} for name, status in zip(names, shown_as, strict=True)]
    assert (seated["available"], standing["available"], "seats" in standing) == (4, 6, False)


def test_a_row_is_listed_as_one_text() -> None:
    seated, standing = listed(stock(TAKEN), SeatsAs.ROWS)
    assert seated["rows"] == [".h.", "..s"]
    assert (seated["available"], standing["available"], "rows" in standing) == (4, 6, False)


@pytest.mark.parametrize(
    ("how", "most", "zipped"), [(SeatsAs.SEATS, 4_500_000, 350_000), (SeatsAs.ROWS, 90_000, 5_000)]
)
def test_eighty_thousand_seats_are_a_short_answer(how: SeatsAs, most: int, zipped: int) -> None:
    taken = {f"{row}_{number}": "sold" for row in range(1, 201) for number in range(row % 7 + 1, 401, 11)}
    house = stock(taken, 200, 400)
    plain = _encode(house, how, False)
    short = _encode(house, how, True)
    assert gzip.decompress(short) == plain
    assert len(plain) < most
    assert len(short) < zipped
    assert _encode(house, how, True) == short  # the same state has the same ETag


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False), ("gzip", True), ("GZIP", True), ("deflate, gzip;q=0.5", True), ("*", True), ("br", False),
        ("gzip;q=0", False), ("gzip; q=0.0, *", False), ("identity;q=1, *;q=0", False), ("gzip;q=x", True),
        ("gzip;q=1.2.3", False), ("xgzip", False),
    ],
)  # fmt: skip
def test_an_answer_is_compressed_for_clients_that_accept_it(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
