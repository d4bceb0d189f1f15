"""Readiness as a client sees it: each probe returns once the server does real work, and raises why it does not yet.

Drivers are imported where they are used: a launcher that only asks for one server should not wait for all of them.
"""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

from stack.given import Given

Probe = Callable[[Given], None]

SEARCH_ATTRIBUTES = ("SeatwrightStatus", "SeatwrightEvent", "SeatwrightBooking")


class NotReady(Exception):
    """The server answers, but not yet as it should."""


def http(port: str, path: str) -> Probe:
    """A probe that wants a 2xx of that path on the named port."""

    def probe(given: Given) -> None:
        _get(f"http://127.0.0.1:{given.ports[port]}{path}")

    return probe


def listens(port: str) -> Probe:
    """A probe for what has no page of its own health: it accepts a connection on the named port."""

    def probe(given: Given) -> None:
        socket.create_connection(("127.0.0.1", given.ports[port]), timeout=2).close()

    return probe


def postgres(given: Given) -> None:
    """Postgres carries out a statement for the superuser."""
    import psycopg

    with psycopg.connect(given.env["SEATWRIGHT_POSTGRES_ADMIN_DSN"], connect_timeout=2) as connection:
        connection.execute("SELECT 1")


def redis(given: Given) -> None:
    """Redis has loaded its data and answers PING."""
    import redis as driver

    with driver.Redis.from_url(given.env["SEATWRIGHT_REDIS_URL"], socket_timeout=2) as client:
        client.ping()


def temporal(given: Given) -> None:
    """Temporal serves the namespace, and it knows our search attributes."""
    asyncio.run(asyncio.wait_for(_temporal(given), timeout=5))


async def _temporal(given: Given) -> None:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.client import Client

    namespace = given.env["SEATWRIGHT_TEMPORAL_NAMESPACE"]
    client = await Client.connect(given.env["SEATWRIGHT_TEMPORAL_ADDRESS"], namespace=namespace)
    if not await client.service_client.check_health():
        raise NotReady("the frontend says that it is not healthy")
    request = ListSearchAttributesRequest(namespace=namespace)
    known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    if lacking := set(SEARCH_ATTRIBUTES) - set(known):
        raise NotReady(f"search attributes are not registered: {', '.join(sorted(lacking))}")
    await client.count_workflows("SeatwrightStatus = 'none'")


def kafka(given: Given) -> None:
    """Kafka hands out metadata, and this broker is in it."""
    from confluent_kafka.admin import AdminClient

    # Without a logger of its own librdkafka writes each refused connection to our terminal.
    settings: dict[str, Any] = {"bootstrap.servers": given.env["SEATWRIGHT_KAFKA_BOOTSTRAP"], "log_level": 0}
    if not AdminClient(settings | {"error_cb": lambda error: None}).list_topics(timeout=2).brokers:
        raise NotReady("no broker in the metadata")


def elasticsearch(given: Given) -> None:
    """Elasticsearch has recovered its indices: the cluster is yellow or better."""
    address = given.env["SEATWRIGHT_ELASTICSEARCH_URL"]
    health = json.loads(_get(f"{address}/_cluster/health?wait_for_status=yellow&timeout=1s"))
    if health["timed_out"] or health["status"] == "red":
        raise NotReady(f"the cluster is {health['status']}")


def _get(url: str) -> bytes:
    # No proxy, whatever the shell's variables say: all of this is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=2) as answer:
        body: bytes = answer.read()
        return body
