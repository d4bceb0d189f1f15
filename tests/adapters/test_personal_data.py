"""Sealed texts of a person are opened by as many calls as they need; each fits into what identity takes."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Any
from uuid import uuid4

import pytest

from adapters.internal.personal_data import PersonalDataClient, Purpose, Words
from api.edge.bounds import bounds_of
from api.identity.personal_data import sealed_text
from db.identity.vault import Vault


def reasons(count: int) -> list[str]:
    """Different texts of 200 letters, each of four bytes."""
    return [chr(0x1F300 + number) * 200 for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 50])
async def test_texts_open_in_their_order_and_each_call_fits(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    key, _ = Vault(["master"], "index").new_key(uuid4())
    given, sizes = reasons(count), list[int]()
    sealed = [sealed_text(key, Purpose.REFUND_REASON, text) for text in given]

    async def answer(path: str, words: Words, _: Any) -> Words:
        size = len(words.model_dump_json().encode())
        sizes.append(size)
        assert size <= bounds_of({"path": path, "method": "POST"}, None).size
        texts = tuple(key.open(words.purpose, urlsafe_b64decode(text)).decode() for text in words.texts)
        return Words(purpose=words.purpose, texts=texts)

    client = PersonalDataClient("http://identity", "token")
    monkeypatch.setattr(client._identity, "ask", answer)
    opened = await client.open(uuid4(), Purpose.REFUND_REASON, sealed)
    await client.close()
    assert opened == tuple(given)
    assert len(sizes) == -(-count // 10)
