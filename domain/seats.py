"""The names of seats, and how many places one booking may hold."""

from __future__ import annotations

from typing import NamedTuple

MAX_PLACES = 50
"""The most places (seats and general admission together) that one booking may hold."""


class SeatName(NamedTuple):
    """A seat's address: `A-1-12` is seat 12 in row 1 of section A. A section's own name may contain hyphens."""

    section: str
    row: int
    number: int

    @classmethod
    def parse(cls, text: str) -> SeatName:
        """Read `section-row-number`.

        Raises:
            ValueError: The text does not name a seat, or not in its one canonical spelling.
        """
        section, _, rest = text.rpartition("-")
        section, _, row = section.rpartition("-")
        if not (section and row.isdecimal() and rest.isdecimal()):
            raise ValueError(f"{text!r} is not a seat's name: expected section-row-number, such as A-1-12")
        seat = cls(section, int(row), int(rest))
        if str(seat) != text or seat.row < 1 or seat.number < 1:
            raise ValueError(f"{text!r} is not a seat's name: rows and numbers count from 1, without leading zeros")
        return seat

    def __str__(self) -> str:
        return f"{self.section}-{self.row}-{self.number}"
