"""What is kept in clear about a refund reveals nothing of its reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from pydantic import SecretStr

from api.reservation.commands.refund import _request
from api.reservation.schemas import RefundBody

TICKET = uuid4()


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ({"reason": "Bob is ill."}, True),
        ({"tickets": [TICKET]}, False),
        ({"waive_policy": True}, False),
    ],
)
def test_the_digest_of_a_refund_has_all_of_it_but_the_reason(other: dict[str, Any], is_same: bool) -> None:
    settings = SimpleNamespace(booking_id_secret=SecretStr("secret"), compensation_attempts=1)
    booking = SimpleNamespace(id=uuid4(), event_id=uuid4(), user_id=uuid4())
    staff = SimpleNamespace(user_id=uuid4(), roles=frozenset({"support"}))

    def digest(**given: Any) -> str:
        body = RefundBody(**({"reason": "Ada is ill."} | given))
        context = cast(Any, SimpleNamespace(settings=settings))
        return _request(context, cast(Any, staff), cast(Any, booking), body, "key").body_sha256

    assert (digest(**other) == digest()) is is_same
