"""The figures and targets of the benchmark."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from bench import table
from bench.environment import neighbours
from bench.figures import Figure, measured, split_up
from bench.generator import Job, arrivals
from bench.rounds import Sample, interleaved, ratios


@pytest.mark.parametrize(
    ("bounds", "reached"),
    [({"at_least": 2}, True), ({"at_least": 2.1}, False), ({"at_most": 1.9}, False), ({}, None)],
)
def test_a_figure_is_judged_by_its_median(bounds: dict[str, float], reached: bool | None) -> None:
    figure = measured("saga", "ratio", [9, 1, 2], unit="", **bounds)
    assert (figure.median, figure.spread, figure.reached) == (2, (1, 9), reached)


def test_a_ratio_is_taken_within_each_round() -> None:
    assert ratios([10, 30], [5, 10]) == [2, 3]


def test_the_cost_leaves_out_the_named_processes() -> None:
    sample = Sample(done=100, seconds=4, cpu={"api": 1, "work": 2, "sandbox": 9})
    assert (sample.cost("sandbox"), sample.rate) == (30, 25)


async def test_contestants_take_turns_and_none_is_always_last() -> None:
    order: list[str] = []

    def contestant(name: str) -> Callable[[], Awaitable[str]]:
        async def take() -> str:
            order.append(name)
            return name

        return take

    results = await interleaved(2, {"a": contestant("a"), "b": contestant("b")})
    assert order == ["a", "b", "b", "a"]
    assert results == {"a": ["a", "a"], "b": ["b", "b"]}


def test_the_load_arrives_at_its_rate_and_is_reproducible_by_its_seed() -> None:
    job = Job(api_url="", tokens=[], event="", event_seats=0, skip=0, rate=50, seconds=2, seed=7, cores=None)
    due = arrivals(job)
    assert len(due) == 100
    assert due == sorted(due)
    assert 0 <= due[0] <= due[-1] <= 2
    assert due == arrivals(job)
    assert due != arrivals(job.model_copy(update={"seed": 8}))


def test_every_seat_is_bought_once() -> None:
    seats = [seat for pair in neighbours(200) for seat in pair]
    assert len(set(seats)) == len(seats) == 200
    assert seats[:3] == ["A-1-1", "A-1-2", "A-1-3"]
    assert seats[-1] == "A-2-100"


def test_the_report_names_the_targets_that_were_missed(tmp_path: Path) -> None:
    figures = [
        measured("saga", "ratio", [1, 1.2], "x", at_least=1.4),
        split_up("saga", "CPU", {"a": 1, "b": 2.5}, "ms"),
    ]
    for name in ("report.md", "report.json"):
        table.write(tmp_path / name, [("processor", "4 cores")], figures)
    assert "| saga | ratio | 1.1 x | 1 to 1.2 | ≥ 1.4 | NO |" in (tmp_path / "report.md").read_text()
    written = orjson.loads((tmp_path / "report.json").read_bytes())
    assert written["facts"] == {"processor": "4 cores"}
    assert [Figure(**each).name for each in written["figures"]] == ["ratio", "CPU"]
