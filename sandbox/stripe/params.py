"""Parses Stripe's form-encoded parameters; refuses what Stripe refuses before execution."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.stripe.errors import ApiError

Reader = Callable[[str, Any], Any]
MOST_METADATA, LONGEST_METADATA_NAME, LONGEST_METADATA_VALUE = 50, 40, 500
"""docs.stripe.com/api/metadata"""
DEFAULT_LIMIT, HIGHEST_LIMIT = 10, 100
"""docs.stripe.com/api/pagination"""


def parse_form(text: str) -> dict[str, Any]:
    """Parse nested parameters such as `a[b]=1&c[]=2&d[0]=3`; lists become dicts by index."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        _plant(tree, re.findall(r"[^\[\]]+|\[\]", name), value)
    return tree


def _plant(tree: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        branch = tree.setdefault(step, {})
        if not isinstance(branch, dict):
            raise ApiError(f"Invalid parameter: {step}", param=step)
        tree = branch
    leaf = str(len(tree)) if path and path[-1] == "[]" else path[-1] if path else ""
    tree[leaf] = value


def integer(name: str, value: Any) -> int:
    """A whole number of at most 18 digits, which may be negative."""
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
        raise ApiError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    return int(value)


def positive(name: str, value: Any) -> int:
    """A whole number from 1 on."""
    number = integer(name, value)
    if number < 1:
        message = "This value must be greater than or equal to 1."
        raise ApiError(message, code="parameter_invalid_integer", param=name)
    return number


def string(name: str, value: Any) -> str:
    """A string that is not empty: Stripe takes an empty one for the wish to unset a parameter."""
    if not isinstance(value, str):
        raise ApiError("Invalid string", param=name)
    if not value:
        raise ApiError(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; "
            f"however '{name}' cannot be unset.",
            code="parameter_invalid_empty",
            param=name,
        )
    return value


def boolean(name: str, value: Any) -> bool:
    """`true` or `false`, in lower case only."""
    if value not in ("true", "false"):
        raise ApiError(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def url(name: str, value: Any) -> str:
    """An absolute HTTP address."""
    text = string(name, value)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError("Not a valid URL", code="url_invalid", param=name)
    return text


def one_of(*choices: str) -> Reader:
    """A reader of exactly these words."""

    def read(name: str, value: Any) -> str:
        if value not in choices:
            raise ApiError(f"Invalid {name}: must be one of {', '.join(choices)}", param=name)
        return str(value)

    return read


def strings(name: str, value: Any) -> list[str]:
    """A list of strings, which a form sends as `name[0]`, `name[1]` and so on."""
    if not isinstance(value, dict):
        raise ApiError("Invalid array", code="parameter_invalid_string", param=name)
    return [string(name, each) for each in value.values()]


def fields(**readers: Reader) -> Reader:
    """A reader of an object with these fields and no others."""

    def read(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ApiError("Invalid object", param=name)
        return check(value, readers, within=name)

    return read


def anything(name: str, value: Any) -> Any:
    """A value that the sandbox accepts and does not use."""
    return value


def metadata(name: str, value: Any) -> dict[str, str]:
    """Pairs of strings, within the limits of Stripe for their number and length."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ApiError("Invalid metadata: metadata must be a hash of strings", param=name)
    if len(value) > MOST_METADATA:
        raise ApiError("You can specify up to 50 metadata keys.", param=name)
    for key, text in value.items():
        if len(key) > LONGEST_METADATA_NAME or len(text) > LONGEST_METADATA_VALUE:
            raise ApiError("Metadata values can have up to 500 characters.", param=f"{name}[{key}]")
    return value


def check(given: Mapping[str, Any], readers: Mapping[str, Reader], *, within: str = "") -> dict[str, Any]:
    """Parse the parameters; omitted parameters stay out.

    Raises:
        ApiError: One is unknown or malformed; `parameter_unknown`, `parameter_invalid_…`.
    """
    for name in given.keys() - readers.keys():
        full = f"{within}[{name}]" if within else name
        raise ApiError(f"Received unknown parameter: {full}", code="parameter_unknown", param=full)
    return {name: readers[name](f"{within}[{name}]" if within else name, value) for name, value in given.items()}


def require(values: Mapping[str, Any], *names: str) -> None:
    """Raises: ApiError: A parameter is missing; `parameter_missing`."""
    for name in names:
        if name not in values:
            raise ApiError(f"Missing required param: {name}.", code="parameter_missing", param=name)


def limit_of(values: Mapping[str, Any]) -> int:
    """The number of objects of a page.

    Raises:
        ApiError: More were asked for than Stripe gives.
    """
    limit: int = values.get("limit", DEFAULT_LIMIT)
    if limit > HIGHEST_LIMIT:
        raise ApiError("Invalid integer: limit must be at most 100", code="parameter_invalid_integer", param="limit")
    return limit
