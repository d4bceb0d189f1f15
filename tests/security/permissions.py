"""The table of routes and who may call them, generated from the application; `python -m tests.security.permissions`
prints it as docs/permissions.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api.app import create_app
from api.auth.guards import AccessRule, Audience, rules_of
from config.settings import Settings
from domain.identity import Role, Scope

COLUMNS: Final = ("anonymous", *Role, "our processes")


class Route(NamedTuple):
    """One method of one route, and all its rules."""

    method: str
    path: str
    rules: frozenset[AccessRule]

    def admits(self, column: str) -> bool:
        """Whether the route admits a caller of that kind, with a token of our own log-in where they have one."""
        return all(_admits(rule, column) for rule in self.rules)

    @property
    def scopes(self) -> frozenset[Scope] | None:
        """The scopes of which a third-party token needs one; empty: none is admitted; None: no token is needed."""
        asked = [rule.scopes for rule in self.rules if rule.audience is not Audience.ANYONE]
        return frozenset.intersection(*asked) if asked else None


def _admits(rule: AccessRule, column: str) -> bool:
    if rule.audience is Audience.ANYONE:
        return True
    if rule.audience is Audience.OUR_PROCESSES or column == "our processes":
        return rule.audience is Audience.OUR_PROCESSES and column == "our processes"
    return column != "anonymous" and (not rule.roles or Role(column) in rule.roles)


def routes(app: FastAPI) -> Iterator[Route]:
    """Each method of each route of the application."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            assert route.methods
            for method in sorted(route.methods):
                yield Route(method, route.path, rules_of(route))
        else:
            yield Route("?", str(route), frozenset())


def application(values: Mapping[str, object] | None = None) -> FastAPI:
    """The application, to read its routes from."""
    return create_app(Settings.model_validate({"mode": "development", **(values or {})}))


HEAD: Final = """# Who may call what

Generated from the application by `python -m tests.security.permissions`. `tests/security/test_permissions.py` compares
the two and tries every cell against the running API. The owner of an object counts, too: the answer about another
person's booking, draft or team is 404, as if it did not exist.

A token of a third-party application (OAuth) also needs one of the scopes in the last column. "Own log-in" means that
only tokens of `POST /v1/sessions` are accepted.

"""


def render(app: FastAPI) -> str:
    """The table as a page."""
    rows = [("route", *COLUMNS, "scope"), ("---",) * (len(COLUMNS) + 2)]
    for route in sorted(routes(app), key=lambda route: (route.path, route.method)):
        marks = ["yes" if route.admits(column) else "" for column in COLUMNS]
        rows.append((f"`{route.method} {route.path}`", *marks, _scope(route)))
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _scope(route: Route) -> str:
    if route.scopes is None or route.admits("our processes"):
        return ""
    return ", ".join(sorted(route.scopes)) or "own log-in"


if __name__ == "__main__":
    print(render(application()), end="")
