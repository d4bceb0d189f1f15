"""The operator's page lists every setting of every process, as its model describes it."""

from __future__ import annotations

from tests.config.settings_table import PAGE, fields, with_table


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in fields() if not field.description] == []


def test_the_operators_page_lists_all_settings_as_they_are() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "python -m tests.config.settings_table"
