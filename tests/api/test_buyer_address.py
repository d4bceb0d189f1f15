"""Providers get the address of a payment's call only where it is one that they can use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from api.auth.tokens import Principal
from api.reservation.buyer_details import seal_buyer
from api.reservation.context import ReservationContext
from domain.buyers import BuyerDetails


class _InClear:
    async def seal(self, user_id: object, purpose: object, words: str) -> str:
        return words


@pytest.mark.parametrize(
    ("host", "ip"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("2001:4860:4860::8888", None),
        ("fe80::1%eth0", None),
        ("::1", None),
        ("::ffff:10.0.0.1", None),
        ("10.0.0.1", None),
        ("172.16.0.1", None),
        ("192.168.1.1", None),
        ("100.64.0.1", None),
        ("169.254.1.1", None),
        ("127.0.0.1", None),
        ("0.0.0.0", None),
        ("224.0.1.1", None),
        ("255.255.255.255", None),
        ("testclient", None),
        (None, None),
    ],
)
async def test_a_provider_gets_the_address_of_a_call_only_if_it_is_public_ipv4(
    host: str | None, ip: str | None
) -> None:
    request: Any = SimpleNamespace(client=SimpleNamespace(host=host) if host else None)
    context: Any = SimpleNamespace(personal_data=_InClear(), recorder=SimpleNamespace(request=request))
    buyer = cast(Principal, SimpleNamespace(user_id=uuid4()))
    sealed = await seal_buyer(cast(ReservationContext, context), buyer, "iyzico", None)
    assert sealed
    assert BuyerDetails.model_validate_json(sealed.sealed).ip == ip
