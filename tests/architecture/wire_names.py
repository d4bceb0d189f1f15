"""Collects every name that other programs, stored data or running sagas know, from the code itself.

`python -m tests.architecture.wire_names` writes the checked-in lists beside this module.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from prometheus_client import REGISTRY
from pydantic import TypeAdapter
from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey

from api.app import create_app
from config.settings import Settings
from domain.domain_events import DomainEvent
from domain.problems import ProblemType
from temporal import metrics as saga_metrics

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NOT_THE_PRODUCT = {"tests", "bench", "sandbox", "stack"}
OWN_PREFIX = "seatwright"
KEY_PATTERN = re.compile(r"\{\}(:[a-z]+)+(:\{\})*")
LUA_KEY = re.compile(r"':[a-z]+:?'(?: \.\. [\w.\[\]]+(?: \.\. ':[a-z]+')?)?")
WORD = re.compile(r"[a-z][a-z-]+")


def packages() -> list[str]:
    """The product's top-level packages."""
    return sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in NOT_THE_PRODUCT)


@cache
def modules() -> tuple[ModuleType, ...]:
    """Every module of the product, imported; entry points and migrations are left out."""
    found = []
    for package in packages():
        found.append(importlib.import_module(package))
        for info in pkgutil.walk_packages(found[-1].__path__, f"{package}."):
            if not {"__main__", "migrations"} & set(info.name.split(".")):
                found.append(importlib.import_module(info.name))
    return tuple(found)


def classes() -> set[type]:
    """Every class that a module of the product knows by a name."""
    return {each for module in modules() for each in vars(module).values() if inspect.isclass(each)}


@cache
def sources() -> Mapping[Path, ast.Module]:
    """The parsed Python files of the product."""
    return {path: ast.parse(path.read_text()) for package in packages() for path in (ROOT / package).rglob("*.py")}


def text(node: ast.AST) -> str | None:
    """A string, or an f-string with `{}` for what is filled in; None for any other node."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join("{}" if isinstance(part, ast.FormattedValue) else text(part) or "" for part in node.values)
    return None


def texts(node: ast.AST) -> Iterator[str]:
    """All strings and f-strings in a piece of code, whole ones only."""
    found = text(node)
    if found is not None:
        yield found
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


# Temporal


def workflow_definitions() -> list[Any]:
    found = [workflow._Definition.from_class(each) for each in classes()]
    return sorted((each for each in found if each), key=lambda definition: str(definition.name))


def activity_definitions() -> list[Any]:
    members = {member for each in classes() for member in vars(each).values() if inspect.isfunction(member)}
    found = [activity._Definition.from_callable(member) for member in members]
    return sorted((each for each in found if each), key=lambda definition: str(definition.name))


def messages(definition: Any) -> Iterator[tuple[str, Any]]:
    """What may be sent to a workflow: (kind, definition)."""
    for kind, sent in (("update", definition.updates), ("signal", definition.signals), ("query", definition.queries)):
        for name in sorted(name for name in sent if name and not name.startswith("__")):
            yield f"{kind} {definition.name}.{name}", sent[name]


def temporal_names() -> Iterator[str]:
    for definition in activity_definitions():
        yield f"activity {definition.name}"
    for definition in workflow_definitions():
        yield f"workflow {definition.name}"
        yield from (name for name, _ in messages(definition))
    for module in modules():
        keys = [value for value in vars(module).values() if isinstance(value, SearchAttributeKey)]
        yield from (f"search-attribute {key.name}" for key in keys)


def workflow_ids() -> Iterator[str]:
    """The patterns of workflow ids: the f-strings that functions of the `workflows` package return."""
    for path, tree in sources().items():
        if path.relative_to(ROOT).parts[0] == "workflows":
            for node in ast.walk(tree):
                if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
                    yield f"workflow-id {text(node.value)}"


# Kafka, problems, metrics


def domain_events(model: type[DomainEvent] = DomainEvent) -> Iterator[type[DomainEvent]]:
    children = [child for child in model.__subclasses__() if child.__module__.split(".")[0] in packages()]
    if not children:
        yield model
    for child in children:
        yield from domain_events(child)


def kafka_names() -> Iterator[str]:
    for model in domain_events():
        yield f"domain-event {model.model_fields['type'].default}"
        yield f"topic {model.topic}"
    for module in modules():
        for group in vars(module).get("CONSUMER_GROUPS", ()):
            yield f"consumer-group {group}"
    for tree in sources().values():
        yield from (f"topic {found}" for found in texts(tree) if found == "{}.dead-letters")


def problem_types() -> Iterator[str]:
    return (f"problem-type {problem}" for problem in ProblemType)


def metric_names() -> Iterator[str]:
    modules()
    for collector in list(REGISTRY._collector_to_names):
        for metric in collector.collect():
            if metric.name.startswith(OWN_PREFIX):
                labels = ",".join(getattr(collector, "_labelnames", ()))
                yield f"metric {metric.name} {metric.type} {{{labels}}}"
    for counter in saga_metrics.COUNTERS:
        yield f"metric {counter.name.removesuffix('_total')} counter {{{counter.label}}}"
    for histogram in saga_metrics.HISTOGRAMS:
        yield f"metric {histogram.name} histogram {{{histogram.label}}}"


# Redis


def redis_keys() -> Iterator[str]:
    """Patterns of keys, and the words that modules which know Redis put into keys."""
    for tree in sources().values():
        for found in texts(tree):
            if found.startswith(f"{OWN_PREFIX}:"):
                yield f"redis-key {found}"
        if any(package in imported(tree) for package in ("redis", "limits")):
            yield from (f"redis-key …{found[2:]}" for found in texts(tree) if KEY_PATTERN.fullmatch(found))
            yield from (f"redis-key {found}" for found in key_constants(tree))
            yield from (f"redis-key {OWN_PREFIX}:limits/…{word}…" for word in awaited_words(tree))
    for script in (path for package in packages() for path in (ROOT / package).rglob("*.lua")):
        for found in LUA_KEY.findall(script.read_text()):
            yield "redis-key …" + re.sub(r" \.\. (?!')[\w.\[\]]+", "{}", found).replace(" .. ", "").replace("'", "")


def imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def key_constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.endswith("KEY"):
            yield from texts(node.value) if node.value else ()


def awaited_words(tree: ast.Module) -> Iterator[str]:
    """Plain words that are given to awaited calls, such as the kind of thing that a counter counts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            yield from (found for arg in node.value.args if (found := text(arg)) and WORD.fullmatch(found))


# HTTP


@cache
def application() -> FastAPI:
    return create_app(Settings(mode="development"))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each operation of the OpenAPI document: (method, path, operation)."""
    for path, found in application().openapi()["paths"].items():
        yield from ((method.upper(), path, operation) for method, operation in found.items())


def http_names() -> Iterator[str]:
    for context in iter_route_contexts(application().routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for method in sorted(route.methods or ()):
                yield f"route {method} {route.path}"
    for _, _, operation in operations():
        yield f"operation {operation['operationId']}"


def rate_limits() -> Iterator[str]:
    return (f"rate-limit {name}" for name in Settings.model_fields["rate_limits"].default)


# Fields of what is sent


def fields(schema: Mapping[str, Any], definitions: Mapping[str, Any], seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted paths of all properties of a JSON Schema."""
    reference = schema.get("$ref", "").rpartition("/")[2]
    if reference:
        if reference not in seen:
            yield from fields(definitions[reference], definitions, (*seen, reference))
        return
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from (f"{name}.{below}" for below in fields(inner, definitions, seen))
    variants = [each for key in ("anyOf", "oneOf", "allOf", "prefixItems") for each in schema.get(key, ())]
    for inner in [*variants, schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(inner, dict):
            yield from fields(inner, definitions, seen)


def fields_of(type_: Any) -> Iterator[str]:
    if type_ not in (None, type(None), inspect.Parameter.empty):
        schema = TypeAdapter(type_).json_schema(mode="serialization")
        yield from fields(schema, schema.get("$defs", {}))


def payload_fields() -> Iterator[str]:
    """What travels through Temporal, and so stands in histories."""
    sent = [(f"activity {each.name}", each) for each in activity_definitions()]
    for definition in workflow_definitions():
        sent += [(f"workflow {definition.name}", definition), *messages(definition)]
    for name, definition in sent:
        for argument in definition.arg_types or ():
            yield from (f"{name} < {field}" for field in fields_of(argument))
        yield from (f"{name} > {field}" for field in fields_of(getattr(definition, "ret_type", None)))


def http_fields() -> Iterator[str]:
    """What callers send and get."""
    definitions = application().openapi()["components"]["schemas"]
    for method, path, operation in operations():
        name = f"http {method} {path}"
        yield from (f"{name} ? {each['in']} {each['name']}" for each in operation.get("parameters", ()))
        for sent in json_bodies(operation.get("requestBody", {})):
            yield from (f"{name} < {field}" for field in fields(sent, definitions))
        for status, answer in operation["responses"].items():
            for got in json_bodies(answer):
                yield from (f"{name} {status} > {field}" for field in fields(got, definitions))


def json_bodies(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas of a request or an answer, problems left out: those are the same everywhere."""
    for media_type, body in message.get("content", {}).items():
        if "problem" not in media_type:
            yield body.get("schema", {})


def names() -> list[str]:
    """All names, sorted."""
    collectors = (
        temporal_names, workflow_ids, kafka_names, problem_types, metric_names, redis_keys, http_names, rate_limits,
    )  # fmt: skip
    return sorted({name for collect in collectors for name in collect()})


def all_fields() -> list[str]:
    """All fields of what is sent, sorted."""
    return sorted({*payload_fields(), *http_fields()})


def lists() -> dict[Path, list[str]]:
    """What each checked-in list should hold."""
    return {HERE / "wire_names.txt": names(), HERE / "wire_fields.txt": all_fields()}


if __name__ == "__main__":
    for path, lines in lists().items():
        path.write_text("".join(f"{line}\n" for line in lines))
        counted = {kind: len(list(each)) for kind, each in groupby(lines, lambda line: line.split()[0])}
        sys.stdout.write(f"{path.name}: {counted}\n")
