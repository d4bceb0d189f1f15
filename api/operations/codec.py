"""Temporal's remote codec: lets support and operators read in the Temporal UI what is sealed in Temporal's database."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from temporalio.api.common.v1 import Payload

from api.auth.audit import Recorder
from api.auth.guards import Staff
from api.http.problems import documented
from api.http.resources import Temporal
from domain.problems import ProblemType, Refused
from temporal.encryption import Undecryptable

router = APIRouter(prefix="/v1/codec", tags=["operations"])

_AT_ONCE = 1000
_DIGITS = 12


class SealedPayload(BaseModel):
    """A payload as protobuf's JSON has it: `data` and the values of `metadata` are base64."""

    model_config = ConfigDict(extra="ignore")  # protobuf's JSON may grow fields

    metadata: dict[str, Annotated[str, Field(max_length=1000)]] = Field(default={}, max_length=20)
    data: str = ""


class PayloadList(BaseModel):
    """The body of Temporal's remote codec, in both directions."""

    model_config = ConfigDict(extra="ignore")

    payloads: list[SealedPayload] = Field(max_length=_AT_ONCE)


@router.post(
    "/decode",
    name="decode_payloads",
    summary="Decode payloads for the Temporal UI",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.UNAVAILABLE),
)
async def decode(body: PayloadList, reader: Staff, temporal: Temporal, recorder: Recorder) -> PayloadList:
    """Payloads that are not sealed come back as they are. Each call is recorded in the audit log."""
    codec = temporal.data_converter.payload_codec
    assert codec is not None
    try:
        sealed_payloads = [_from_json(each) for each in body.payloads]
        opened_payloads = await codec.decode(sealed_payloads)
    except Undecryptable as error:
        raise Refused(ProblemType.INVALID_REQUEST, f"payloads: {error}.", field="payloads") from error
    digests = " ".join(map(_digest, sealed_payloads))
    await recorder.record(reader, "payloads.decoded", f"payloads/{len(body.payloads)}", typed=digests)
    return PayloadList(payloads=[_as_json(each) for each in opened_payloads])


def _digest(payload: Payload) -> str:
    """What the audit log keeps of a payload, to find it in a history: short, since one call may have a thousand.

    The `x` separates the digits of two digests, which together could be those of a card and be refused.
    """
    return f"x{sha256(payload.data).hexdigest()[:_DIGITS]}"


def _from_json(given: SealedPayload) -> Payload:
    try:
        metadata = {name: base64.b64decode(value, validate=True) for name, value in given.metadata.items()}
        return Payload(metadata=metadata, data=base64.b64decode(given.data, validate=True))
    except ValueError as error:
        raise Refused(ProblemType.INVALID_REQUEST, "payloads: not base64.", field="payloads") from error


def _as_json(payload: Payload) -> SealedPayload:
    metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
    return SealedPayload(metadata=metadata, data=base64.b64encode(payload.data).decode())
