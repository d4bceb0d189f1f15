"""The summary of a run, for people and for the report of `make prove`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from tests.chaos.journal import Call, Verdict
from tests.chaos.run import Result, Tally

MOST_SHOWN = 40


def lines_of(result: Result, seed: int) -> list[str]:
    """Lines of plain text; the last line has the verdict."""
    return list(_lines(result, seed))


def _lines(result: Result, seed: int) -> Iterator[str]:
    yield f"seed        {seed}"
    yield f"buyers      {result.buyers} came, {_counts(result.bookings)}"
    for call in get_args(Call):
        yield f"{call:11} first answers: {_verdicts(result.first, call)}; in the end: {_verdicts(result.last, call)}"
    yield f"sabotage    {_counts(Counter(strike.kind for strike in result.strikes))}"
    yield f"killed      {_counts(Counter(strike.target for strike in result.strikes if strike.kind == 'kill'))}"
    yield f"died        {_counts(result.died) or 'none by itself'}"
    yield f"settled     after {result.settled.seconds:.0f} s, {result.settled.retried} parked sagas retried"
    if result.settled.left:
        yield f"UNSETTLED   {result.settled.left}"
    if result.put_aside:
        yield f"BROKEN      {result.put_aside} dead letters"
    yield f"audit       {'clean' if not result.findings else f'{len(result.findings)} broken'}"
    yield from (f"            {': '.join(finding)}" for finding in result.findings[:MOST_SHOWN])
    yield f"journal     {'explained' if not result.unexplained else f'{len(result.unexplained)} not explained'}"
    yield from (f"            {line}" for line in result.unexplained[:MOST_SHOWN])
    yield f"written to  {result.folder.parent.parent.parent.name}/{result.folder.relative_to(result.folder.parents[2])}"
    yield "all is explained" if result.is_clean else "NOT EXPLAINED"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.most_common())


def _verdicts(tally: Tally, call: Call) -> str:
    return ", ".join(f"{tally[call, verdict]} {verdict}" for verdict in Verdict)
