"""Computes the SEATWRIGHT_ variables, by which each of our processes finds the others."""

import os
import shlex
from collections.abc import Mapping

from stack.paths import COMPILED
from stack.state import State

PREFIX = "SEATWRIGHT_"
# What a server of others gets to see: enough to run, nothing that could change how it behaves.
PLAIN = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")


def variables(state: State) -> dict[str, str]:
    """All variables that are the same for every process; settings given by the user win."""
    return (
        computed(state.ports, state.postgres_password)
        | (_watched(state.ports) if state.watched else {})
        | state.settings
    )


def _watched(ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "SEATWRIGHT_TRACES_ENDPOINT": f"http://127.0.0.1:{ports['jaeger-otlp']}/v1/traces",
        "SEATWRIGHT_TRACES_UI_URL": f"http://127.0.0.1:{ports['jaeger']}",
        "SEATWRIGHT_TRACES_DETAILS": "1",
        "SEATWRIGHT_GRAPHS_URL": f"http://127.0.0.1:{ports['graphs']}/vmui/#/dashboards",
    }


def computed(ports: Mapping[str, int], postgres_password: str) -> dict[str, str]:
    """The variables that follow from ports and passwords."""
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return {
        "SEATWRIGHT_MODE": "development",
        "SEATWRIGHT_POSTGRES_ADMIN_DSN": f"postgresql://postgres:{postgres_password}@{at['postgres']}/postgres",
        "SEATWRIGHT_POSTGRES_HOST": "127.0.0.1",
        "SEATWRIGHT_POSTGRES_PORT": str(ports["postgres"]),
        "SEATWRIGHT_REDIS_URL": f"redis://{at['redis']}/0",
        "SEATWRIGHT_TEMPORAL_ADDRESS": at["temporal"],
        "SEATWRIGHT_TEMPORAL_NAMESPACE": "default",
        "SEATWRIGHT_TEMPORAL_UI_URL": f"http://{at['temporal-ui']}",
        "SEATWRIGHT_KAFKA_BOOTSTRAP": at["kafka"],
        "SEATWRIGHT_ELASTICSEARCH_URL": f"http://{at['elasticsearch']}",
        "SEATWRIGHT_SMTP_HOST": "127.0.0.1",
        "SEATWRIGHT_SMTP_PORT": str(ports["smtp"]),
        "SEATWRIGHT_MAIL_UI_URL": f"http://{at['mail']}",
        # The payment providers' settings default to the sandbox in development mode.
        "SEATWRIGHT_SANDBOX_URL": f"http://{at['sandbox']}",
        "SEATWRIGHT_STRIPE_MOCK_URL": f"http://{at['stripe-mock']}",
        "SEATWRIGHT_DRAIN": "0",  # there is no load balancer that would have to notice
        "SEATWRIGHT_API_URL": f"http://{at['api']}",
        "SEATWRIGHT_IDENTITY_URL": f"http://{at['api-internal']}",
    }


def for_application(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of one of our processes.

    The shell's own SEATWRIGHT_ variables that we compute are left out, above all: a user who has sourced the
    demo's env file and then runs the tests must not have the tests talk to the demo.
    """
    dropped = "PYTHONDONTWRITEBYTECODE"  # to compile everything anew is most of what a start would cost
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX) and key != dropped}
    return inherited | {"PYTHONUNBUFFERED": "1", "PYTHONPYCACHEPREFIX": str(COMPILED)} | dict(own)


def for_server(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server that others wrote."""
    return {key: os.environ[key] for key in PLAIN if key in os.environ} | dict(own)


def as_shell(values: Mapping[str, str]) -> str:
    """Lines for `set -a; source env`."""
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
