"""Strict types for what clients send: no unknown fields, no text that a database or a log cannot take."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from adapters.payment.registry import PROVIDERS
from domain.names import BadName, name_of

_LONGEST_NAME = 200


def _storable(text: str) -> str:
    if "\x00" in text:
        raise PydanticCustomError("text", "must not contain the character U+0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("text", "must not contain half of a surrogate pair") from None
    return text


def _name(text: str) -> str:
    try:
        name = name_of(text)
    except BadName as error:
        raise PydanticCustomError("name", "{why}", {"why": str(error)}) from None
    if len(name) > _LONGEST_NAME:
        raise PydanticCustomError("name", "must have at most {most} characters", {"most": _LONGEST_NAME})
    return name


Storable = AfterValidator(_storable)
"""Marks a text that both Postgres and JSON can store."""

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Storable]
Name = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_name)]
"""A name that other people read; `domain.names` says what is accepted. It is stored in NFC."""

GivenAddress = Annotated[str, StringConstraints(max_length=254), Storable]
"""An email address to search for; an invalid one is simply not found."""

Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""A telephone number (E.164)."""

Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=30), Storable]
"""A code of an authenticator (six digits), or a recovery code."""

_SECTION_NAME = r"^[\p{L}\p{N}]([\p{L}\p{M}\p{N} ._'-]{0,48}[\p{L}\p{M}\p{N}])?$"
_SECTION_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 50}
"""Without the pattern: regular expressions of several languages do not know classes such as `\\p{L}`."""

SectionName = Annotated[
    str,
    StringConstraints(pattern=_SECTION_NAME),
    Storable,
    AfterValidator(_name),
    WithJsonSchema(_SECTION_NAME_SCHEMA),
]
"""A section may have hyphens in its name: `section-row-number` is read from its end."""

MinorUnits = Annotated[int, Field(ge=0, le=999_999_999_999, strict=True)]
"""No payment provider takes more of any currency; what each takes is checked where the currency is known."""

ProviderName = TypeAliasType(
    "ProviderName",
    Annotated[
        str,
        StringConstraints(min_length=1, max_length=40),
        Field(description="A payment provider.", json_schema_extra={"enum": list(PROVIDERS)}),
    ],
)
"""The name of a payment provider; one that is unknown gets a problem of its own."""

PositiveInt = Annotated[int, Field(ge=1, le=100_000, strict=True)]


class RequestModel(BaseModel):
    """A body: unknown fields are refused, since a client that sends them expects something of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
