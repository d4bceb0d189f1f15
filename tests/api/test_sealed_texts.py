"""Sealed texts of a person open however many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import pytest

from adapters.internal.personal_data import PersonalDataClient, Purpose
from config.settings import Settings, secret
from tests.adapters.test_personal_data import reasons
from tests.api.conftest import Join
from tests.api.test_personal_data import erase


@pytest.fixture
async def personal_data(settings: Settings) -> AsyncIterator[PersonalDataClient]:
    client = PersonalDataClient(settings.identity_address, secret(settings.internal_token), seconds=30)
    yield client
    await client.close()


async def test_fifty_of_the_longest_reasons_open_at_identity(
    personal_data: PersonalDataClient, join: Join, client: httpx2.AsyncClient
) -> None:
    person, given = await join(), reasons(50)
    sealed = [await personal_data.seal(UUID(person.id), Purpose.REFUND_REASON, text) for text in given]
    whole = [text for text in sealed if text]
    assert await personal_data.open(UUID(person.id), Purpose.REFUND_REASON, whole) == tuple(given)
    assert (await erase(client, person)).status_code == 204
    assert await personal_data.open(UUID(person.id), Purpose.REFUND_REASON, whole) is None
