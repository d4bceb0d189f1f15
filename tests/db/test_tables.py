"""What our statements believe about the tables is what the migrations have made."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, inspect

from config.settings import SERVICES_WITH_DATABASE, Service, Settings

# Written down in the migrations alone, since no statement names them.
ONLY_IN_MIGRATIONS = {"remove_index", "add_constraint", "remove_constraint"}


def metadata_of(service: Service) -> MetaData:
    found: MetaData = import_module(f"db.{service}.tables").Base.metadata
    return found


def flat(differences: list[Any]) -> Iterator[Any]:
    """Alembic puts the changes of one column into a list of their own."""
    for difference in differences:
        yield from difference if isinstance(difference, list) else [difference]


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
def test_the_tables_are_as_the_statements_see_them(settings: Settings, service: Service) -> None:
    engine = create_engine(settings.database_url(service))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_name": _is_ours}
        )
        found = list(flat(compare_metadata(context, metadata_of(service))))
    engine.dispose()
    assert [difference for difference in found if difference[0] not in ONLY_IN_MIGRATIONS] == []


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
def test_every_table_has_the_key_that_the_statements_rely_on(settings: Settings, service: Service) -> None:
    engine = create_engine(settings.database_url(service))
    keys = {table.name: {column.name for column in table.primary_key} for table in metadata_of(service).tables.values()}
    found = {name: set(inspect(engine).get_pk_constraint(name)["constrained_columns"]) for name in keys}
    engine.dispose()
    assert found == keys


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    return not (kind == "table" and name == "alembic_version")
