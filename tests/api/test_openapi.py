"""`/openapi.json` is fit for generating clients: every call is named once, and every refusal is described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from api.http.problems import KINDS, MEDIA_TYPE
from config.settings import Settings

SCHEMA = create_app(Settings(mode="development")).openapi()


def operations() -> Iterator[Any]:
    for path, methods in SCHEMA["paths"].items():
        for method, operation in methods.items():
            yield pytest.param(operation, id=f"{method.upper()} {path}")


def test_every_call_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for methods in SCHEMA["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operation", list(operations()))
def test_a_call_says_what_it_is_and_how_it_may_be_refused(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["tags"]
    expected = {"429", "503"}
    expected |= {"401"} if operation.get("security") else set()
    expected |= {"413", "415", "422"} if "requestBody" in operation else set()
    assert expected <= operation["responses"].keys()


@pytest.mark.parametrize("operation", list(operations()))
def test_every_problem_has_an_example_of_its_type(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        for kind, example in answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).items():
            assert str(int(KINDS[kind].status)) == status
            assert example["value"]["type"].endswith(f"/{kind}")


def test_links_lead_to_calls_that_are_there() -> None:
    names = {operation["operationId"] for methods in SCHEMA["paths"].values() for operation in methods.values()}
    linked = {
        link["operationId"]
        for methods in SCHEMA["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    }
    assert linked
    assert linked <= names
    assert create_app(Settings(mode="development"), ["search"]).openapi()
