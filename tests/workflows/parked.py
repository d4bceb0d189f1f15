"""A saga whose one step keeps failing, to see how it is parked."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from workflows.attention import RETURN_MONEY, Attention

with workflow.unsafe.imports_passed_through():
    from domain.bookings import OperatorAction


@workflow.defn
class ParkedWorkflow:
    """Fails so many times; the result is how long it has rested after each."""

    @workflow.init
    def __init__(self, failures: int) -> None:
        self._attention = Attention()

    @workflow.run
    async def run(self, failures: int) -> list[timedelta]:
        rests = []
        for _ in range(failures):
            parked_at = workflow.now()
            self._attention.park(RETURN_MONEY)
            await self._attention.decision()
            rests.append(workflow.now() - parked_at)
        return rests

    @workflow.update
    async def operate(self) -> None:
        self._attention.decide(OperatorAction.RETRY)
