"""Rules for the SQL of `db`."""

from __future__ import annotations

import re

import pytest

from tests.architecture.test_packages import ROOT

_EVERY_COLUMN = re.compile(r"\b(?:SELECT|RETURNING)(?:\s+DISTINCT)?\s+\*|\b[a-z_]+\.\*")


def test_statements_name_their_columns_so_a_new_one_breaks_no_prepared_plan() -> None:
    files = (path for path in (ROOT / "db").rglob("*.py") if "versions" not in path.parts)
    assert not {f"{path}: {found}" for path in files for found in _EVERY_COLUMN.findall(path.read_text())}


@pytest.mark.parametrize("statement", ["SELECT * FROM a", "SELECT\n  * FROM a", "RETURNING *", "SELECT n, a.* FROM a"])
def test_a_statement_of_every_column_is_recognized(statement: str) -> None:
    assert _EVERY_COLUMN.search(statement)


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM a", "SELECT price * 2 FROM a", "SELECT a.n * 2 FROM a"])
def test_a_star_that_is_no_column_is_none(statement: str) -> None:
    assert not _EVERY_COLUMN.search(statement)
