"""Operators register applications of others by the command line, for safe addresses and never for everything."""

from __future__ import annotations

import httpx2
import pytest
from typer.testing import CliRunner

from cli.clients import clients_app
from tests.api.partners import bearer
from tests.command_line import seatwright


@pytest.mark.parametrize(
    "arguments",
    [
        ("--redirect-uri", "http://app.example.test/back"),
        ("--redirect-uri", "https://app.example.test/back#part"),
        ("--redirect-uri", "javascript:alert(1)"),
        ("--redirect-uri", "https://app.example.test/é"),
        ("--scope", "seatwright"),
        ("--scope", "everything"),
        ("--role", "root"),
        ("--role", "operator"),
    ],
)
def test_what_is_not_safe_is_refused(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(clients_app, ["add", "Seat Finder", *arguments])
    assert result.exit_code == 2, result.output
    assert "client_id" not in result.output


@pytest.mark.parametrize("name", ["", " ", "Seat\u200bFinder", "Seat\u202eFinder", "Seat\nFinder", "Seat\u3164"])
def test_a_name_with_what_no_reader_sees_is_refused(name: str) -> None:
    result = CliRunner().invoke(clients_app, ["add", name, "--partner"])
    assert result.exit_code == 2, result.output
    assert "must" in result.output
    assert "client_id" not in result.output


async def test_a_partner_that_was_registered_gets_a_token_until_it_has_ended(
    stack_env: dict[str, str], client: httpx2.AsyncClient
) -> None:
    shown = await seatwright(clients_app, stack_env, "add", "Partner", "--partner", "--scope", "bookings:read")
    told = dict(line.split(": ") for line in shown.splitlines())
    credentials = told["client_id"], told["client_secret"]
    form = {"grant_type": "client_credentials"}
    token = await client.post("/v1/oauth/token", data=form, auth=credentials)
    assert token.status_code == 200, token.text
    assert (await client.get("/v1/me/bookings", headers=bearer(token.json()))).status_code == 200
    await seatwright(clients_app, stack_env, "end", told["client_id"])
    assert (await client.post("/v1/oauth/token", data=form, auth=credentials)).json()["error"] == "invalid_client"
