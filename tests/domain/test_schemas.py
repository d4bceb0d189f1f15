"""The checked-in JSON Schemas are those of today's domain events, so that a change for consumers is seen in review."""

from domain.schemas import FOLDER, files


def test_schemas_are_as_checked_in() -> None:
    checked_in = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    today = files()
    different = sorted(name for name in checked_in.keys() | today.keys() if checked_in.get(name) != today.get(name))
    assert not different, f"{', '.join(different)} changed: think of the consumers, then run python -m domain.schemas"
