"""Equal seats: the same section, as many, together where the wanted ones were, and as near as can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.alternatives import nearest_equal
from domain.seats import SeatName


def free(section: str, rows: int, seats: int, *taken: str) -> set[str]:
    return {f"{section}-{row}-{n}" for row in range(1, rows + 1) for n in range(1, seats + 1)} - set(taken)


def test_what_is_free_stays() -> None:
    assert nearest_equal(["A-1-3", "A-1-4"], free("A", 3, 6)) == ("A-1-3", "A-1-4")


def test_neighbours_stay_together_and_move_as_little_as_possible() -> None:
    assert nearest_equal(["A-1-3", "A-1-4"], free("A", 3, 6, "A-1-4")) == ("A-1-2", "A-1-3")


def test_neighbours_go_to_another_row_rather_than_apart() -> None:
    assert nearest_equal(["A-2-1", "A-2-2"], {"A-2-1", "A-2-3", "A-3-5", "A-3-6"}) == ("A-3-5", "A-3-6")
    assert nearest_equal(["A-2-1", "A-2-2"], {"A-2-1", "A-2-3", "A-3-5"}) is None


def test_single_seats_are_replaced_one_by_one() -> None:
    assert nearest_equal(["A-1-1", "A-3-1"], free("A", 3, 3, "A-3-1")) == ("A-1-1", "A-3-2")


def test_another_section_is_no_equal() -> None:
    assert nearest_equal(["A-1-1"], free("B", 3, 3)) is None
    assert nearest_equal(["A-1-1", "B-1-1"], {"A-1-2", "B-2-1"}) == ("A-1-2", "B-2-1")


NAMES = st.builds(SeatName, st.sampled_from("AB"), st.integers(1, 3), st.integers(1, 6)).map(str)


@given(st.sets(NAMES, min_size=1, max_size=6), st.sets(NAMES))
def test_whatever_is_found_is_free_and_of_equal_worth(wanted: set[str], there: set[str]) -> None:
    found = nearest_equal(sorted(wanted), there)
    if found is None:
        assert not wanted <= there
        return
    assert set(found) <= there
    assert len(set(found)) == len(wanted)
    assert sorted(SeatName.parse(name).section for name in found) == sorted(
        SeatName.parse(name).section for name in wanted
    )
