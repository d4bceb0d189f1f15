"""How seats are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.seats import SeatName

SECTIONS = st.text(min_size=1, max_size=40)
COUNTS = st.integers(min_value=1, max_value=10**6)


@given(SECTIONS, COUNTS, COUNTS)
def test_every_seat_is_found_again_by_its_name(section: str, row: int, number: int) -> None:
    seat = SeatName(section, row, number)
    assert SeatName.parse(str(seat)) == seat


@given(st.one_of(st.text(), st.from_regex(r"[A-Z]*-?[0-9\u0660-\u0669+ _.]*-[0-9\u0660-\u0669+ _.]*")))
def test_a_text_either_names_a_seat_in_its_one_spelling_or_is_refused(text: str) -> None:
    try:
        seat = SeatName.parse(text)
    except ValueError:
        return
    assert str(seat) == text
    assert seat.section
    assert seat.row >= 1
    assert seat.number >= 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "A-1",
        "-1-1",
        "A--1",
        "A-1-",
        "A-0-1",
        "A-1-0",
        "A-01-1",
        "A-1-+1",
        "A-1- 1",
        "A-1-٣",
        "A-1-1.0",
        "A-1-1\n",
    ],
)
def test_what_is_no_seat_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a seat's name"):
        SeatName.parse(text)


def test_a_sections_own_name_may_have_hyphens() -> None:
    assert SeatName.parse("Block-C-left-3-12") == SeatName("Block-C-left", 3, 12)


def test_seats_sort_as_people_count() -> None:
    names = ["A-10-1", "A-2-11", "A-2-2"]
    assert sorted(names, key=SeatName.parse) == ["A-2-2", "A-2-11", "A-10-1"]
