"""Renders messages from Jinja2 templates in the reader's language; each channel has a folder of them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from domain.domain_events import EventSummary
from workers.consumers.notification.languages import Language, language_of

TEMPLATES = Path(__file__).parent / "templates"
Format = Literal["txt", "html"]

_WIDTH: Final = 78  # characters of a line in a plain text


def render(template: str, values: Mapping[str, object], language: str, format: Format = "txt") -> str:
    """Render `<channel>/<message>`, such as `email/booking_confirmed`, or its `.subject`; HTML is escaped.

    Args:
        template: The template's name, without `.j2`.
        values: What the template shows.
        language: The reader's language, as a BCP 47 tag.
        format: What is made of the template.

    Raises:
        UndefinedError: The template shows something that `values` does not have.
        TemplateNotFound: The channel has no such template.
    """
    text = _templates(language_of(language), format).get_template(f"{template}.j2").render(values)
    return text if format == "html" else re.sub(r"\n{3,}", "\n\n", text)


@cache
def _templates(language: Language, format: Format) -> Environment:
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("j2",) if format == "html" else ()),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.install_gettext_translations(language.texts, newstyle=True)  # type: ignore[attr-defined]
    templates.filters["wrap"] = _wrap

    def wall_clock(event: EventSummary) -> str:
        return language.wall_clock(event.starts_at, event.timezone)

    templates.globals |= {
        "format": format,
        "language": language.code,
        "money": language.money,
        "strong": _strong if format == "html" else str,
        "wall_clock": wall_clock,
    }
    return templates


def _strong(text: str) -> Markup:
    return Markup("<strong>{}</strong>").format(escape(text))


def _wrap(text: str) -> str:
    """One paragraph, with lines of a readable length."""
    words = re.sub(r"[ \n]+", " ", text).strip()
    return textwrap.fill(words, _WIDTH, break_long_words=False, break_on_hyphens=False)
