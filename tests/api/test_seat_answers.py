"""The state of a large venue is made once for all who ask at the same moment, and kept in proportion to its cost."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID, uuid4

import pytest

from api.reservation.seat_answers import SeatAnswers
from tests.waiting import eventually


class Venue:
    """Takes some CPU to describe, and counts how often it was."""

    def __init__(self, cpu_seconds: float) -> None:
        self.reads = self.encodings = 0
        self._cpu_seconds = cpu_seconds

    async def read(self) -> str | None:
        self.reads += 1
        await asyncio.sleep(0)
        return f"state {self.reads}"

    def encode(self, state: str) -> bytes:
        self.encodings += 1
        began = time.thread_time()
        while time.thread_time() - began < self._cpu_seconds:
            pass
        return state.encode()


async def asked(answers: SeatAnswers, event: UUID, venue: Venue) -> bytes:
    answer = await answers.answer(event, venue.read, venue.encode)
    assert answer
    return answer.body


async def test_callers_at_once_share_one_answer() -> None:
    answers, event, venue = SeatAnswers(), uuid4(), Venue(0.0)
    assert set(await asyncio.gather(*(asked(answers, event, venue) for _ in range(50)))) == {b"state 1"}
    assert (venue.reads, venue.encodings) == (1, 1)


@pytest.mark.parametrize(("cpu_seconds", "pause", "reads"), [(0.1, 0.3, 1), (0.02, 0.5, 2), (0.0, 0.05, 2)])
async def test_an_answer_is_kept_for_ten_times_its_cost(cpu_seconds: float, pause: float, reads: int) -> None:
    answers, event, venue = SeatAnswers(), uuid4(), Venue(cpu_seconds)
    await asked(answers, event, venue)
    await asyncio.sleep(pause)
    await asked(answers, event, venue)
    assert venue.reads == reads


async def test_events_do_not_share_answers() -> None:
    answers, one, other = SeatAnswers(), Venue(0.05), Venue(0.05)
    first, second = uuid4(), uuid4()
    await asked(answers, first, one)
    await asked(answers, second, other)
    assert (one.reads, other.reads) == (1, 1)


async def test_an_unknown_event_and_a_failure_are_not_kept() -> None:
    answers, event, venue = SeatAnswers(), uuid4(), Venue(0.1)

    async def nothing() -> str | None:
        return None

    async def failing() -> str | None:
        raise TimeoutError

    assert await answers.answer(event, nothing, venue.encode) is None
    with pytest.raises(TimeoutError):
        await answers.answer(event, failing, venue.encode)
    assert await asked(answers, event, venue) == b"state 1"


async def test_small_venues_leave_no_memory_behind() -> None:
    answers, venue = SeatAnswers(), Venue(0.0)
    for _ in range(500):
        await asked(answers, uuid4(), venue)
    assert answers.bytes_kept == 0


async def test_each_answer_counts_with_the_memory_of_its_entry() -> None:
    answers, venue = SeatAnswers(most_bytes=3000), Venue(0.1)
    first, second, third = uuid4(), uuid4(), uuid4()
    for event in (first, second, third):
        await asked(answers, event, venue)
    assert answers.bytes_kept <= 3000
    await asked(answers, first, venue)
    assert venue.reads == 4, "only two have room"


async def test_what_is_out_of_date_goes_with_the_next_answer() -> None:
    answers, venue = SeatAnswers(), Venue(0.02)
    for _ in range(3):
        await asked(answers, uuid4(), venue)

    async def has_one_entry() -> bool:
        await asked(answers, uuid4(), venue)
        return answers.bytes_kept < 2048

    await eventually(has_one_entry)
