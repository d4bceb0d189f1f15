"""Renders messages from Jinja2 templates; each channel has a folder of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from domain.money import format_money

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, values: Mapping[str, object]) -> str:
    """Render `<channel>/<message>.<part>`, such as `email/booking_confirmed.html`; HTML is escaped.

    Raises:
        UndefinedError: The template shows something that `values` does not have.
        TemplateNotFound: The channel has no such template.
    """
    return _templates.get_template(f"{template}.j2").render(values)


def _format_time(time: datetime) -> str:
    utc = time.astimezone(UTC)
    return f"{utc:%A}, {utc.day} {utc:%B %Y, %H:%M} UTC"


_templates = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=select_autoescape(["html.j2"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters["time"] = _format_time
_templates.globals["money"] = format_money
