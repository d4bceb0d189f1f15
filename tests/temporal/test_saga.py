"""What a saga undoes, and in which order."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from domain.problems import Problem, ProblemType
from temporal.saga import Aborted, NoEffect, Saga, Undo, aborting

PROBLEM = Problem(type=ProblemType.BOOKING_FAILED, detail="It failed.")


class Effects:
    """Notes what is done and undone."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def do(self, name: str, error: Exception | None = None) -> None:
        self.log.append(name)
        if error:
            raise error

    def undo(self, name: str) -> Undo:
        async def undo() -> None:
            self.log.append(f"undo {name}")

        return undo


async def hold_and_pay(saga: Saga, effects: Effects, error: Exception | None = None) -> None:
    async with saga:
        await saga.step("hold", effects.do("hold"), undo=effects.undo("hold"))
        await saga.step("pay", effects.do("pay", error), undo=effects.undo("pay"))


async def test_a_saga_that_succeeds_undoes_nothing() -> None:
    effects, saga = Effects(), Saga()
    await hold_and_pay(saga, effects)
    await saga.compensate()
    assert effects.log == ["hold", "pay"]


@pytest.mark.parametrize("error", [Aborted(PROBLEM), ApplicationError("the step failed")])
async def test_a_failed_step_and_all_before_it_are_undone_latest_first(error: Exception) -> None:
    effects = Effects()
    with pytest.raises(type(error)):
        await hold_and_pay(Saga(), effects, error)
    assert effects.log == ["hold", "pay", "undo pay", "undo hold"]


async def test_a_step_without_effect_is_not_undone() -> None:
    effects = Effects()
    with pytest.raises(NoEffect):
        await hold_and_pay(Saga(), effects, NoEffect())
    assert effects.log == ["hold", "pay", "undo hold"]


async def test_a_saga_that_does_not_know_where_it_stands_undoes_only_when_it_is_told() -> None:
    effects, saga = Effects(), Saga()
    with pytest.raises(LookupError):
        await hold_and_pay(saga, effects, LookupError())
    assert effects.log == ["hold", "pay"]
    await saga.compensate()
    await saga.compensate()
    assert effects.log == ["hold", "pay", "undo pay", "undo hold"]


async def test_a_cancellation_during_an_undo_does_not_stop_it() -> None:
    effects, saga, begun, may_end = Effects(), Saga(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await may_end.wait()
        effects.log.append("undo pay")

    async def life() -> None:
        async with saga:
            await saga.step("hold", effects.do("hold"), undo=effects.undo("hold"))
            await saga.step("pay", effects.do("pay", Aborted()), undo=slow)

    task = asyncio.create_task(life())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(Aborted):
        await task
    assert effects.log == ["hold", "pay", "undo pay", "undo hold"]


def test_a_step_that_keeps_failing_aborts_with_the_problem_of_its_place() -> None:
    with pytest.raises(Aborted) as aborted, aborting(PROBLEM):
        raise ApplicationError("the step failed")
    assert aborted.value.problem == PROBLEM
