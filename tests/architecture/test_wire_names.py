"""Names on the wire keep their spelling: running sagas, stored data, dashboards and other programs know them.

A line that is missing means that something which is stored or called under that name is no longer found. Where a change
is wanted, run `python -m tests.architecture.wire_names` and let a reviewer see the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.wire_names import HERE, all_fields, fields, names


def difference(path: Path, today: list[str]) -> list[str]:
    checked_in = path.read_text().splitlines()
    removed, added = set(checked_in) - set(today), set(today) - set(checked_in)
    return [*(f"- {line}" for line in sorted(removed)), *(f"+ {line}" for line in sorted(added))]


def test_every_name_on_the_wire_is_spelled_as_checked_in() -> None:
    assert difference(HERE / "wire_names.txt", names()) == []


def test_every_field_of_a_message_is_spelled_as_checked_in() -> None:
    assert difference(HERE / "wire_fields.txt", all_fields()) == []


@pytest.mark.parametrize("file", ["wire_names.txt", "wire_fields.txt"])
def test_the_checked_in_lists_are_sorted_and_without_repetition(file: str) -> None:
    lines = (HERE / file).read_text().splitlines()
    assert lines == sorted(set(lines))


def test_a_field_is_found_in_a_list_of_alternatives_and_behind_a_reference() -> None:
    inner = {"properties": {"deep": {"type": "string"}, "again": {"$ref": "#/$defs/Inner"}}}
    outer = {"properties": {"one": {"anyOf": [{"items": {"$ref": "#/$defs/Inner"}}, {"type": "null"}]}}}
    assert list(fields(outer, {"Inner": inner})) == ["one", "one.deep", "one.again"]
