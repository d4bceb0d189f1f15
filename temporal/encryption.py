"""Encrypts what Temporal keeps: its database, its backups and its UI do not show who booked what.

Every payload is sealed with AES-256-GCM: inputs, results, markers, signals, memos, query results, and the messages and
stack traces of failures. Names of workflows, activities and errors, ids and search attributes stay readable.
"""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    PayloadCodec,
)

from config.settings import Settings, secret
from temporal.short_failures import ShortFailureConverter

ENCODING: Final = b"binary/encrypted"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class Undecryptable(ValueError):
    """A sealed payload that no known key opens, or that was changed."""


class PayloadCipher(PayloadCodec):
    """Seals with the first key, and opens with the key that a payload names.

    A payload that is not sealed passes through unchanged.

    Args:
        keys: `id:key` pairs with a comma between, each key 32 bytes in base64url. To replace a key, first add the new
            one behind it in every process, then put it in front; the old one goes when Temporal keeps nothing sealed
            with it any more.

    Raises:
        ValueError: The keys are not such a list.
    """

    def __init__(self, keys: str) -> None:
        self._keys = dict(_read(keys))
        self._id, self._seals = next(iter(self._keys.items()))
        self._metadata = {"encoding": ENCODING, "encryption-key-id": self._id}

    async def encode(self, payloads: Iterable[Payload]) -> list[Payload]:
        """Seal every payload with the first key."""
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Iterable[Payload]) -> list[Payload]:
        """The payloads as they were.

        Raises:
            Undecryptable: One of them cannot be opened.
        """
        return [self._open(payload) if is_sealed(payload) else payload for payload in payloads]

    def _seal(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._seals.encrypt(nonce, payload.SerializeToString(), self._id)
        return Payload(metadata=self._metadata, data=nonce + sealed)

    def _open(self, payload: Payload) -> Payload:
        id_, data = payload.metadata["encryption-key-id"], payload.data
        key = self._keys.get(id_)
        if key is None:
            raise Undecryptable("sealed with a key that this process does not have")
        try:
            return Payload.FromString(key.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], id_))
        except (InvalidTag, DecodeError, ValueError) as error:
            raise Undecryptable("not as it was sealed") from error


def is_sealed(payload: Payload) -> bool:
    """Whether a payload can only be read with a key."""
    return payload.metadata.get("encoding") == ENCODING


_CONVERTERS = tuple(PydanticPayloadConverter().converters.values())


class SharedPayloadConverter(CompositePayloadConverter):
    """The SDK's own for pydantic, shared: the SDK makes one for each workflow task, and compiles every model again."""

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)


def data_converter(settings: Settings) -> DataConverter:
    """How values become what Temporal keeps: pydantic's JSON, sealed, also the messages of failures."""
    return dataclasses.replace(
        pydantic_data_converter,
        payload_converter_class=SharedPayloadConverter,
        payload_codec=PayloadCipher(secret(settings.temporal_payload_keys)),
        failure_converter_class=ShortFailureConverter,
    )


def _read(keys: str) -> Iterable[tuple[bytes, AESGCM]]:
    for pair in keys.split(","):
        id_, _, key = pair.strip().partition(":")
        try:
            raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        except ValueError:
            raw = b""
        if not id_ or len(raw) != _KEY_BYTES:
            raise ValueError("SEATWRIGHT_TEMPORAL_PAYLOAD_KEYS must be id:key pairs, each key 32 bytes in base64url")
        yield id_.encode(), AESGCM(raw)
