"""Parses PayU's requests; refuses what PayU refuses, and every field unknown to the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sandbox.payu.errors import Json, invalid, missing

Reader = Callable[[str, Any], Any]

# developers.paymentsos.com, PayU Single Platform, less those that are no more. All have two decimals at PayU, HUF too.
CURRENCIES = frozenset(["BGN", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "NOK", "PLN", "RON", "SEK", "UAH", "USD"])


def text(longest: int = 4096) -> Reader:
    """A reader of strings that are not empty and have at most `longest` characters."""

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise invalid(name, f"a string of 1 to {longest} characters")
        return value

    return read


def whole_number(name: str, value: Any) -> int:
    """An amount or a number, which PayU writes as a string of digits."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,12}", value):
        raise invalid(name, "a whole number, written as a string")
    return int(value)


def address(name: str, value: Any) -> str:
    """The buyer's IP address, in its usual spelling; 0.0.0.0 is refused."""
    try:
        known = ip_address(value)
    except ValueError:
        raise invalid(name, "an IP address") from None
    if known.is_unspecified:
        raise invalid(name, "0.0.0.0 is not accepted")
    return str(known)


def url(name: str, value: Any) -> str:
    """An absolute HTTP address of at most 1,024 characters."""
    parts = urlsplit(text(1024)(name, value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid(name, "a URL")
    return str(value)


def currency(name: str, value: Any) -> str:
    """A currency that PayU accepts."""
    if value not in CURRENCIES:
        raise invalid(name, "Currency is not supported")
    return str(value)


def truth(name: str, value: Any) -> bool:
    """A JSON boolean; no string is taken for one."""
    if not isinstance(value, bool):
        raise invalid(name, "true or false")
    return value


def one_of(*choices: str) -> Reader:
    """A reader of exactly these words."""

    def read(name: str, value: Any) -> str:
        if value not in choices:
            raise invalid(name, f"one of {', '.join(choices)}")
        return str(value)

    return read


def fields(required: tuple[str, ...] = (), **readers: Reader) -> Reader:
    """A reader of an object with these fields and no others."""

    def read(name: str, value: Any) -> Json:
        if not isinstance(value, dict):
            raise invalid(name, "an object")
        return check(value, readers, required, within=f"{name}.")

    return read


def several(reader: Reader) -> Reader:
    """A reader of a list with at least one value; each is read by `reader`."""

    def read(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise invalid(name, "a list that is not empty")
        return [reader(f"{name}[{place}]", each) for place, each in enumerate(value)]

    return read


def check(given: Mapping[str, Any], readers: Mapping[str, Reader], required: tuple[str, ...], within: str = "") -> Json:
    """Parse the fields; omitted fields stay out.

    Raises:
        ApiError: One is missing (`ERROR_VALUE_MISSING`), unknown or malformed (`ERROR_VALUE_INVALID`).
    """
    for name in required:
        if given.get(name) in (None, ""):
            raise missing(f"{within}{name}")
    for name in given.keys() - readers.keys():
        raise invalid(f"{within}{name}", "unknown field")
    return {name: readers[name](f"{within}{name}", value) for name, value in given.items()}
