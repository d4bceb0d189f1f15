"""What Temporal keeps can be read with the key that it names, and with no other; keys can be replaced in passing."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from config.settings import Settings
from temporal.encryption import PayloadCipher, Undecryptable, data_converter, is_sealed

OLD, NEW = (
    f"{name}:{base64.urlsafe_b64encode(bytes([byte]) * 32).decode()}" for name, byte in [("old", 1), ("new", 2)]
)
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"ada@example.test"')


async def sealed(keys: str) -> Payload:
    [payload] = await PayloadCipher(keys).encode([PLAIN])
    return payload


async def opened(keys: str, payload: Payload) -> Payload:
    [plain] = await PayloadCipher(keys).decode([payload])
    return plain


async def test_a_sealed_payload_shows_nothing_but_the_id_of_its_key() -> None:
    payload = await sealed(OLD)
    assert is_sealed(payload)
    assert b"example" not in payload.SerializeToString()
    assert dict(payload.metadata) == {"encoding": b"binary/encrypted", "encryption-key-id": b"old"}
    assert await opened(OLD, payload) == PLAIN


async def test_the_same_value_is_never_sealed_to_the_same_bytes() -> None:
    assert (await sealed(OLD)).data != (await sealed(OLD)).data


@pytest.mark.parametrize("keys", [f"{OLD},{NEW}", f"{NEW},{OLD}"], ids=["new one added", "new one in front"])
async def test_while_a_key_is_replaced_both_old_and_new_payloads_are_read(keys: str) -> None:
    for key in (OLD, NEW):
        assert await opened(keys, await sealed(key)) == PLAIN


async def test_only_the_first_key_seals() -> None:
    assert (await sealed(f"{NEW}, {OLD}")).metadata["encryption-key-id"] == b"new"


async def test_a_saga_from_before_encryption_goes_on() -> None:
    assert await opened(NEW, PLAIN) == PLAIN


def _cut_short(payload: Payload) -> None:
    payload.data = payload.data[:5]


def _turned(payload: Payload) -> None:
    payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])


def _of_another_key(payload: Payload) -> None:
    payload.metadata["encryption-key-id"] = b"new"


def _of_an_unknown_key(payload: Payload) -> None:
    payload.metadata["encryption-key-id"] = b"lost"


def _of_no_key(payload: Payload) -> None:
    del payload.metadata["encryption-key-id"]


@pytest.mark.parametrize("spoil", [_cut_short, _turned, _of_another_key, _of_an_unknown_key, _of_no_key])
async def test_what_was_changed_or_has_no_key_is_refused(spoil: Callable[[Payload], None]) -> None:
    payload = await sealed(OLD)
    spoil(payload)
    with pytest.raises(Undecryptable):
        await opened(f"{OLD},{NEW}", payload)


@pytest.mark.parametrize("keys", ["", "old", "old:", ":" + "A" * 43, "old:AAAA", "old:not base64!", f"{OLD},"])
def test_a_list_of_keys_that_is_none_stops_the_start(keys: str) -> None:
    with pytest.raises(ValueError, match="SEATWRIGHT_TEMPORAL_PAYLOAD_KEYS"):
        PayloadCipher(keys)


async def test_a_failure_says_nothing_in_clear_and_everything_to_us() -> None:
    converter = data_converter(Settings(mode="development"))
    try:
        raise ApplicationError("no mail to ada@example.test", "Ada Lovelace", type="Refused")
    except ApplicationError as error:
        failure = Failure()
        await converter.encode_failure(error, failure)
    # Long needles: in so many random bytes "ada" turns up by itself once in some thousand runs.
    assert not [told for told in (b"example.test", b"lovelace") if told in failure.SerializeToString().lower()]
    told = await converter.decode_failure(failure)
    assert isinstance(told, ApplicationError)
    assert (told.message, told.details, told.type) == ("no mail to ada@example.test", ("Ada Lovelace",), "Refused")
