"""`/openapi.json` is fit for generating clients: valid, named, typed and described, refusals and headers included."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapters.payment.registry import PROVIDERS
from api.app import create_app
from api.http.problem_schemas import MEMBERS, MEMBERS_OF, name_of
from api.http.problems import KINDS, MEDIA_TYPE, TYPE_BASE
from config.settings import Settings
from db.payment.attempts import AttemptState
from domain.problems import ProblemType

SCHEMA = create_app(Settings(mode="development")).openapi()
ROOT = Path(__file__).parents[2]
VERBS = {
    "abandon", "begin", "cancel", "change", "check", "complete", "confirm", "create", "decide", "decode", "draft",
    "erase", "exchange", "export", "find", "get", "hold", "introspect", "issue", "join", "leave", "link", "list", "log",
    "pay", "publish", "put", "quote", "receive", "refund", "register", "remove", "request", "reset", "return", "revoke",
    "search", "set", "show", "stream", "suggest", "unlink", "verify", "withdraw",
}  # fmt: skip


def operations() -> Iterator[Any]:
    for path, methods in SCHEMA["paths"].items():
        for method, operation in methods.items():
            yield pytest.param(operation, id=f"{method.upper()} {path}")


def parts(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, with where it is."""
    if isinstance(value, dict):
        yield at, value
        for name, inner in value.items():
            yield from parts(inner, f"{at}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from parts(inner, f"{at}/{number}")


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in SCHEMA["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            yield f"{name}.{field}", described


def test_the_document_is_valid_openapi_3_1() -> None:
    assert SCHEMA["openapi"].startswith("3.1.")
    errors = [error.message for error in OpenAPIV31SpecValidator(SCHEMA).iter_errors()]
    assert not errors


def test_every_call_has_a_name_of_its_own_that_begins_with_a_verb() -> None:
    names = [operation["operationId"] for methods in SCHEMA["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))
    assert {name.partition("_")[0] for name in names} <= VERBS


def test_no_part_of_the_document_accepts_anything() -> None:
    assert [at for at, part in parts(SCHEMA) if part.get("additionalProperties") is True] == []


@pytest.mark.parametrize("operation", list(operations()))
def test_every_answer_with_a_body_is_typed(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            assert content["schema"], (status, media_type)
            if media_type.startswith("application/j"):
                names = [part["$ref"] for _, part in parts(content["schema"]) if "$ref" in part]
                assert names, (status, media_type)


@pytest.mark.parametrize("operation", list(operations()))
def test_a_call_says_what_it_is_and_how_it_may_be_refused(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["tags"]
    expected = {"422", "429", "431", "503"}
    expected |= {"401"} if operation.get("security") else set()
    expected |= {"408", "413", "415"} if "requestBody" in operation else set()
    assert expected <= operation["responses"].keys()
    assert all(each["description"] for each in operation.get("parameters", ()))


def test_the_outcome_of_each_call_that_changes_something_may_be_unknown() -> None:
    for path, methods in SCHEMA["paths"].items():
        for method in methods.keys() - {"get"}:
            kinds = methods[method]["responses"]["503"]["content"][MEDIA_TYPE]["examples"].keys()
            assert kinds >= {"unavailable", "outcome-unknown"}, f"{method} {path}"


@pytest.mark.parametrize("operation", list(operations()))
def test_every_answer_names_its_headers(operation: dict[str, Any]) -> None:
    sent = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"}
    for status, answer in operation["responses"].items():
        expected = {"X-Request-Id"} | (sent & {"Idempotency-Key"})
        expected |= {"Retry-After"} if status in ("429", "503") else set()
        expected |= {"WWW-Authenticate"} if status == "401" else set()
        expected |= {"ETag"} if status == "200" and "If-Match" in sent else set()
        assert expected <= answer["headers"].keys(), status


TAKES_NO_KEY = {
    "/v1/users": "a repetition changes nothing and has the same answer",
    "/v1/sessions": "each log-in checks the password again and gets its own tokens",
    "/v1/sessions/second-factor": "the second half of a log-in; a code is used once",
    "/v1/me/second-factor": "a repetition replaces the secret that was not confirmed",
}
"""What creates something without a key, and why nothing is made twice by mistake."""


def test_what_creates_something_takes_an_idempotency_key() -> None:
    creating = {
        path: {each["name"] for each in methods["post"].get("parameters", ()) if each["in"] == "header"}
        for path, methods in SCHEMA["paths"].items()
        if "201" in methods.get("post", {}).get("responses", ())
    }
    assert len(creating) > len(TAKES_NO_KEY)
    assert {path for path, headers in creating.items() if "Idempotency-Key" not in headers} == TAKES_NO_KEY.keys()


@pytest.mark.parametrize("operation", list(operations()))
def test_every_problem_has_an_example_of_its_type(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get(MEDIA_TYPE, {})
        for kind, example in content.get("examples", {}).items():
            assert str(int(KINDS[kind].status)) == status
            assert example["value"]["type"].endswith(f"/{kind}")
            assert {"$ref": f"#/components/schemas/{name_of(ProblemType(kind))}"} in content["schema"]["anyOf"]


def test_an_answer_names_each_of_its_problems_once() -> None:
    contents = [(at, part, part.get("content", {}).get(MEDIA_TYPE, {})) for at, part in parts(SCHEMA["paths"])]
    answers = [(at, answer, content["examples"]) for at, answer, content in contents if "examples" in content]
    assert answers
    for at, answer, kinds in answers:
        named = [part for part in answer["description"].split("; ") if part.startswith("`")]
        assert named == [f"`{kind}`: {KINDS[kind].title}" for kind in kinds], at


def test_every_field_is_described() -> None:
    assert [name for name, field in fields() if not field.get("description")] == []


def test_descriptions_say_null_and_not_pythons_none() -> None:
    texts = [(at, part["description"]) for at, part in parts(SCHEMA) if isinstance(part.get("description"), str)]
    assert texts
    assert [at for at, text in texts if re.search(r"(?<!-)\bNone\b", text)] == []


def test_the_names_of_payment_providers_are_an_enumeration() -> None:
    schemas = SCHEMA["components"]["schemas"]
    assert schemas["ProviderName"]["enum"] == list(PROVIDERS)
    for name in ("PaymentBody", "ExchangeBody", "FoundPayment"):
        assert "/ProviderName" in str(schemas[name]["properties"]["provider"])
    assert schemas["AttemptState"]["enum"] == list(AttemptState)
    assert "/AttemptState" in str(schemas["FoundPayment"]["properties"]["state"])


@pytest.mark.parametrize("kind", list(ProblemType))
def test_every_problem_type_has_a_schema_with_its_members(kind: ProblemType) -> None:
    schema = SCHEMA["components"]["schemas"][name_of(kind)]
    assert schema["properties"]["type"]["const"] == TYPE_BASE + kind
    assert set(MEMBERS_OF.get(kind, ())) <= schema["properties"].keys()


def raised() -> Iterator[tuple[str, str]]:
    """Each member that the code gives a problem, with the problem's type."""
    for folder in ("activities", "adapters", "api", "db", "domain", "workflows"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield from members_of(node, node.func.id)


def members_of(call: ast.Call, name: str) -> Iterator[tuple[str, str]]:
    by_name = {each.arg: each.value for each in call.keywords if each.arg}
    if name == "Refused" and call.args and isinstance(call.args[0], ast.Attribute):
        yield from ((call.args[0].attr, member) for member in by_name)
    type_, members = by_name.get("type"), by_name.get("members")
    if name == "Problem" and isinstance(type_, ast.Attribute) and isinstance(members, ast.Dict):
        yield from ((type_.attr, str(key.value)) for key in members.keys if isinstance(key, ast.Constant))


def test_every_member_that_a_problem_gets_is_in_its_schema() -> None:
    found = set(raised())
    assert len(found) > 20
    assert {(kind, member) for kind, member in found if member not in MEMBERS_OF.get(ProblemType[kind], ())} == set()
    assert {member for members in MEMBERS_OF.values() for member in members} == MEMBERS.keys()


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
