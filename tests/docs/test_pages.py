"""Links within the documentation lead somewhere, and the operator's manual has every metric."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_packages import ROOT
from tests.architecture.wire_names import HERE

PAGES = sorted(
    [*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if not re.match(r"\d{4}-", path.name))]
)
MANUAL = ROOT / "docs" / "operations.md"


def anchors(page: Path) -> set[str]:
    """The anchors that a site for code makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> Iterator[str]:
    """The links of a page to files or sections that do not exist."""
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_the_documentation_leads_to_a_page_and_a_section(page: Path) -> None:
    assert list(broken(page)) == []


def test_the_operators_manual_lists_every_metric() -> None:
    kept = re.findall(r"^metric (\S+) (\S+) \{(.*)\}$", (HERE / "wire_names.txt").read_text(), re.MULTILINE)
    assert kept
    manual = MANUAL.read_text()
    for name, kind, labels in kept:
        shown = f"`{name}{'_total' * (kind == 'counter')}`" + (f" {{{labels.replace(',', ', ')}}}" if labels else "")
        assert re.search(rf"^\| `\w+-metrics` \| {re.escape(shown)} \|", manual, re.MULTILINE), shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_with_commands_for_the_product_has_a_language(page: Path) -> None:
    """The tests of the examples run blocks in `sh` and `sql`: one without a language would rot."""
    blocks = re.findall(r"^ *```(.*)\n([\s\S]*?)^ *```$", page.read_text(), re.MULTILINE)
    commands = r"^ *(\.venv/bin/(seatwright|temporal)|curl|psql|pg_dump|SELECT|UPDATE|DELETE|INSERT)\b"
    for language, text in blocks:
        assert language or not re.search(commands, text, re.MULTILINE), text
        assert language or page != MANUAL, text


def test_every_test_that_the_field_reports_name_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "proof" / "field-reports.md").read_text())
    assert len(named) > 60
    missing = [(file, test) for file, test in named if f"def {test}(" not in (ROOT / "tests" / file).read_text()]
    assert missing == []
