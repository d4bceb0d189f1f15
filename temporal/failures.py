"""Says in words why something failed, from what Temporal has kept of an error."""

from __future__ import annotations

from collections.abc import Iterator

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError

from temporal.encryption import Undecryptable
from temporal.short_failures import SEALED

_DROPPED = "Failure exceeds size limit."  # the server's words


async def describe_failure(failure: Failure, converter: DataConverter) -> str:
    """Say in words why something failed: the messages of the error and its causes, each once.

    What cannot be read any more is named by its type.
    """
    try:
        error: BaseException | None = await converter.decode_failure(failure)
    except Undecryptable:
        return "the reason is sealed with a key that is not known any more"
    found: list[str] = []
    for words in filter(None, _messages(error)):
        found = [each for each in found if each not in words]
        if not any(words in each for each in found):
            found.append(words)
    return ": ".join(found) or "no reason is known"


def _messages(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if not isinstance(error, ActivityError | ChildWorkflowError):  # they only say that another one failed
            message = error.message if isinstance(error, FailureError) else str(error)
            type_ = error.type if isinstance(error, ApplicationError) else None
            if message not in (SEALED, _DROPPED):
                yield message
            elif message == SEALED and type_:
                yield f"an error of type {type_}"
        error = error.__cause__
