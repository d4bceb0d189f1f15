"""What Temporal keeps of an error: sealed, and short enough that none of it is thrown away."""

from __future__ import annotations

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter

SEALED = "Encoded failure"
"""The message of a failure whose own is sealed, as the SDK writes it."""

_MESSAGE, _STACK = 500, 500  # characters


class ShortFailureConverter(DefaultFailureConverter):
    """Moves messages and stack traces into attributes that the codec seals, and shortens them first.

    Of an error that is larger than 4 KB the server keeps nothing but the types: no message of it could be read again.
    """

    def __init__(self) -> None:
        """The SDK's own way to seal them is off, since it keeps their whole length."""
        super().__init__(encode_common_attributes=False)

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Convert an error; its causes are converted by the same method."""
        super().to_failure(exception, payload_converter, failure)
        kept = {"message": failure.message[:_MESSAGE], "stack_trace": failure.stack_trace[-_STACK:]}
        failure.encoded_attributes.CopyFrom(payload_converter.to_payloads([kept])[0])
        failure.message, failure.stack_trace = SEALED, ""
