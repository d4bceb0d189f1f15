"""Conditional changes (RFC 9110, section 13.1.1): a client changes only what it has read, and no later state."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final, NamedTuple, TypeVar

from fastapi import Depends, Header, Response
from pydantic import BaseModel

from domain.problems import ProblemType, Refused

Body = TypeVar("Body", bound=BaseModel)

_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


def tag_of(body: bytes) -> str:
    """The strong entity tag of an answer's bytes."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def tagged(response: Response, body: Body) -> Body:
    """The body, with its tag in the answer's `ETag`: the tag that `IfMatch` compares later."""
    response.headers["ETag"] = _tag(body)
    return body


def _tag(body: BaseModel) -> str:
    return tag_of(body.model_dump_json().encode())


class IfMatch(NamedTuple):
    """The tags of the states that a change may start from; None where the client names none."""

    given: str | None

    @property
    def names_a_state(self) -> bool:
        """Whether the change may start from the read state only."""
        return self.given is not None and self.given.strip() != "*"

    def check(self, current: BaseModel) -> None:
        """Raise Refused if the client has read another state; call it while the state is locked."""
        if self.names_a_state and _tag(current) not in _TAG.findall(self.given or ""):
            raise has_changed()


def has_changed() -> Refused:
    """The refusal of a change by a client that has read another state."""
    return Refused(
        ProblemType.PRECONDITION_FAILED,
        "It has changed since you read it. Read it again, then send its new ETag as If-Match.",
    )


_HEADER = Header(
    alias="If-Match",
    max_length=500,
    description="The `ETag` of the state that you have read. If it has changed since, nothing is changed: 412.",
)


async def _if_match(given: Annotated[str | None, _HEADER] = None) -> IfMatch:
    return IfMatch(given)


Precondition = Annotated[IfMatch, Depends(_if_match)]
"""The call's `If-Match`."""
