"""Files and functions that fit into a reader's head."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.test_packages import ROOT, folders

LONGEST_FILE, LONGEST_FUNCTION = 400, 50


def files() -> list[str]:
    """All our Python files but the tests and the migrations, which are mostly DDL."""
    found = [path for folder in [*sorted(folders()), "ops"] for path in (ROOT / folder).rglob("*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found if "versions" not in path.parts)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_longer_than_can_be_kept_in_mind() -> None:
    long = {file for file in files() if len((ROOT / file).read_text().splitlines()) > LONGEST_FILE}
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{file}:{function.lineno} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for file in files()
        for function in functions(ROOT / file)
    }
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}
