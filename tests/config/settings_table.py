"""The table of all settings, made from their models.

`python -m tests.config.settings_table` writes it into docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from adapters.payment.registry import ADAPTERS
from config.settings import SECRETS, Settings

PAGE: Final = Path(__file__).parents[2] / "docs" / "operations.md"
BEGIN: Final = "<!-- settings: made by `python -m tests.config.settings_table` -->\n"
END: Final = "<!-- end of settings -->\n"
NOT_SET_BY_NAME: Final = "provider_variables"


def table() -> str:
    """The table, a row for each environment variable."""
    rows = ["| `SEATWRIGHT_…` | meaning | unit | default | secret |", "|---|---|---|---|---|"]
    for name, field in fields():
        secret = "yes" if is_secret(field) else ""
        rows.append(f"| `{name.upper()}` | {field.description} | {_unit(field)} | {_default(name, field)} | {secret} |")
    return "".join(f"{row}\n" for row in rows)


def with_table(page: str) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Each setting by its name without the prefix: the platform's own, then those of each payment provider."""
    yield from ((name, field) for name, field in Settings.model_fields.items() if name != NOT_SET_BY_NAME)
    for provider, adapter in ADAPTERS.items():
        own: Mapping[str, FieldInfo] = adapter.gateway_settings.model_fields | adapter.webhook_settings.model_fields
        yield from ((f"{provider}_{name}", field) for name, field in own.items())


def is_secret(field: FieldInfo) -> bool:
    """Whether the value is hidden where settings are printed."""
    return "SecretStr" in str(field.annotation) or bool(_extra(field).get("secret"))


def _unit(field: FieldInfo) -> str:
    return str(_extra(field).get("unit", ""))


def _extra(field: FieldInfo) -> Mapping[str, object]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required() or name in SECRETS:
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, dict) and value:
        return "see there"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value not in (None, "", {}) else "none"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
