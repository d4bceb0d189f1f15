"""Every place has a time zone that the machine knows, and only names of real zones are accepted."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
import tzfpy
from pydantic import TypeAdapter, ValidationError

from domain.time_zones import TimeZone, on_clock, zone_of

ZONES: TypeAdapter[str] = TypeAdapter(TimeZone)


@pytest.mark.parametrize(
    ("place", "zone"),
    [
        ((41.067, 29.017), "Europe/Istanbul"),
        ((52.3622, 4.8838), "Europe/Amsterdam"),
        ((-54.8, -68.3), "America/Argentina/Ushuaia"),
        ((27.7, 85.3), "Asia/Kathmandu"),
        ((0.0, -150.0), "Etc/GMT+10"),
    ],
)
def test_a_place_has_the_zone_of_its_clocks(place: tuple[float, float], zone: str) -> None:
    assert zone_of(*place) == zone


@pytest.mark.parametrize("place", [(90.0, 180.0), (-90.0, -180.0), (0.0, 0.0), (90.0, 0.0), (-90.0, 180.0)])
def test_the_corners_of_the_map_have_a_known_zone(place: tuple[float, float]) -> None:
    assert ZONES.validate_python(zone_of(*place))


def test_the_machine_knows_every_zone_of_the_map() -> None:
    unknown = [name for name in tzfpy.timezonenames() if name != ZONES.validate_python(name)]
    assert unknown == []


def test_what_is_loaded_before_is_not_read_at_its_first_use() -> None:
    script = """
import time
from domain import time_zones
time_zones.load()
began = time.thread_time()
time_zones.zone_of(41.067, 29.017)
print(time.thread_time() - began)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 0.01


@pytest.mark.parametrize("name", ["Europe/Istanbul", "America/Argentina/Ushuaia", "UTC", "Etc/GMT+10"])
def test_the_name_of_a_zone_is_accepted(name: str) -> None:
    assert ZONES.validate_python(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "europe/istanbul", "Europe/Atlantis", "+03:00", "../etc/passwd", "Factory", "localtime", "Europe/Istanbul "],
)
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="IANA"):
        ZONES.validate_python(name)


def test_a_moment_is_read_from_the_clock_of_its_zone_with_daylight_saving() -> None:
    winter, summer = (datetime(2030, month, 15, 12, tzinfo=UTC) for month in (1, 7))
    assert on_clock(winter, "Europe/Berlin").isoformat() == "2030-01-15T13:00:00+01:00"
    assert on_clock(summer, "Europe/Berlin").isoformat() == "2030-07-15T14:00:00+02:00"
    assert on_clock(summer, "Europe/Istanbul").isoformat() == "2030-07-15T15:00:00+03:00"
