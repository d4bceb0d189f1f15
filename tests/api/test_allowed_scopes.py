"""A client gets the scopes that it requests, all of its own if it requests none, and never more."""

from __future__ import annotations

from uuid import uuid4

import pytest

from api.identity.oauth.clients import OAuthClient
from db.identity.clients import Client
from domain.identity import Scope, SigningAlgorithm


def registered(*scopes: Scope) -> OAuthClient:
    nothing: frozenset[str] = frozenset()
    algorithm = SigningAlgorithm.RS256
    return OAuthClient(
        Client(uuid4(), "Seat Finder", None, [], nothing, frozenset(scopes), frozenset(), False, algorithm)
    )


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (None, "email openid"),
        ("", "email openid"),
        ("openid", "openid"),
        (" openid  email ", "email openid"),
        ("openid profile", None),
        ("no-scope", None),
        (" ", None),
        ("\t ", None),
    ],
)
def test_a_client_gets_the_scopes_that_it_requests_and_may_have(asked: str | None, allowed: str | None) -> None:
    assert registered(Scope.OPENID, Scope.EMAIL).get_allowed_scope(asked) == allowed


@pytest.mark.parametrize(("asked", "allowed"), [(None, ""), ("", ""), (" ", None), ("openid", None)])
def test_a_partner_without_scopes_goes_on_without(asked: str | None, allowed: str | None) -> None:
    assert registered().get_allowed_scope(asked) == allowed
