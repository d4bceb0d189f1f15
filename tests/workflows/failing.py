"""A saga whose one step keeps failing, to measure how long it waits for an operator."""

from __future__ import annotations

import itertools
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.support.operator_gate import RETURN_MONEY, OperatorGate


@workflow.defn
class FailingWorkflow(OperatorGate):
    """Its step fails so many times; the result is how long the saga waited after each."""

    @workflow.init
    def __init__(self, failures: int) -> None:
        super().__init__()
        self._failures = failures
        self._failed_at: list[float] = []

    @workflow.run
    async def run(self, failures: int) -> list[timedelta]:
        await self.must(RETURN_MONEY, self._step)
        times = [*self._failed_at, workflow.time()]
        return [timedelta(seconds=end - start) for start, end in itertools.pairwise(times)]

    async def _step(self) -> None:
        if len(self._failed_at) < self._failures:
            self._failed_at.append(workflow.time())
            raise ApplicationError("the step failed")
