"""A seed decides faults and buyers, and a long run has every kind of fault."""

from __future__ import annotations

from collections import Counter

from tests.chaos.crowd import arrivals
from tests.chaos.plan import BAD_LINES, KILLED, LINES, draw

SEATS = [f"A-1-{number}" for number in range(100)]


def test_the_same_seed_breaks_the_same_things_and_brings_the_same_buyers() -> None:
    assert draw(7, 600) == draw(7, 600) != draw(8, 600)
    assert list(arrivals(7, 60, 5, SEATS)) == list(arrivals(7, 60, 5, SEATS)) != list(arrivals(8, 60, 5, SEATS))


def test_ten_minutes_kill_everything_and_spoil_every_line_with_at_least_forty_kills() -> None:
    for seed in range(50):
        timetable = draw(seed, 600)
        kills = Counter(strike.target for strike in timetable if strike.kind == "kill")
        assert set(kills) == set(KILLED)
        assert kills.total() >= 40
        assert {strike.target for strike in timetable if strike.is_on_line} == set(LINES)
        assert {strike.kind for strike in timetable} == {"kill", "freeze", "empty", "provider", *BAD_LINES}


def test_buyers_arrive_at_the_requested_rate() -> None:
    came = sum(party.size for seed in range(20) for party in arrivals(seed, 600, 5, SEATS))
    assert 0.95 < came / (20 * 600 * 5) < 1.05
