"""IANA time zones: which names there are, the zone of a place, and a moment on a zone's clock."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, available_timezones

import tzfpy
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

DEFAULT: Final = "UTC"
"""For an event without a known place. It is the clock that every text showed before events had zones."""

_NOT_A_PLACE: Final = frozenset({"Factory", "localtime", "posixrules"})


def _known(name: str) -> str:
    if name not in _names():
        raise PydanticCustomError("time_zone", "must be the name of an IANA time zone, such as Europe/Istanbul")
    return name


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones()) - _NOT_A_PLACE


TimeZone = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "description": "IANA time zone", "examples": ["Europe/Istanbul"]}),
]
"""The name of an IANA time zone, such as `Europe/Istanbul`, in its own spelling."""


def zone_of(latitude: float, longitude: float) -> str:
    """The zone of a place, by the boundaries that tzfpy ships; at sea a zone of `Etc`.

    The boundaries are simplified: within some hundred metres of a border the zone may be the neighbour's.

    Args:
        latitude: Degrees north (WGS 84).
        longitude: Degrees east (WGS 84).
    """
    name = tzfpy.get_tz(longitude, latitude)
    return name if name in _names() else DEFAULT


def load() -> None:
    """Read the names and the map: else their first use does, which takes up to 0.2 s."""
    zone_of(0.0, 0.0)


def on_clock(moment: datetime, zone: str) -> datetime:
    """The moment on the wall clock of a zone, with its offset from UTC."""
    return moment.astimezone(ZoneInfo(zone))
