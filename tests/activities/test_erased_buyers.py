"""An outage of identity does not decide what becomes of late money."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from activities.payment.late_payments import LatePaymentActivities
from domain.problems import ProblemType, Refused
from temporal.policies import NEVER_RETRIED


@pytest.fixture
def nowhere() -> AsyncEngine:
    return create_async_engine("postgresql+psycopg://none@127.0.0.1:9/nothing")


async def test_an_identity_without_an_answer_is_asked_again(nowhere: AsyncEngine) -> None:
    async def away(_: UUID) -> bool:
        raise Refused(ProblemType.UNAVAILABLE, "identity answered 404")

    with pytest.raises(ConnectionError, match="answered 404") as error:
        await LatePaymentActivities(nowhere, {}, away).is_erased(uuid4())
    assert error.type.__name__ not in NEVER_RETRIED
    assert Refused.__name__ in NEVER_RETRIED
