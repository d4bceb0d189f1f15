"""The JSON Schema of each domain event's body as it travels through Kafka; `python -m domain.schemas` writes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from domain.domain_events import DOMAIN_EVENTS, DomainEvent

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"


def schema(model: type[DomainEvent]) -> dict[str, Any]:
    """The body's schema. The type is not in the body but in the CloudEvents header `ce_type`."""
    described = model.model_json_schema(mode="serialization")
    del described["properties"]["type"]
    name = model.model_fields["type"].default
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:seatwright:{name}"} | described


def files() -> dict[str, str]:
    """The content of each file under docs/schemas, by its name."""
    return {f"{name}.json": json.dumps(schema(model), indent=2) + "\n" for name, model in DOMAIN_EVENTS.items()}


def write(folder: Path) -> None:
    """Replace the folder's schemas by those of the models."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        path.unlink()
    for name, content in files().items():
        (folder / name).write_text(content)


if __name__ == "__main__":
    write(FOLDER)
    sys.stdout.write(f"wrote {len(DOMAIN_EVENTS)} schemas to {FOLDER}\n")
