"""The whole stack in one table: what runs, what it needs, how it is started, and how one sees that it is ready."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from signal import SIGINT, SIGTERM, Signals

from stack import probes
from stack.errors import StackError
from stack.install_context import InstallContext
from stack.servers import (
    elasticsearch,
    jaeger,
    kafka,
    postgres,
    prometheus,
    stripe_mock,
    toxiproxy,
    victoria_metrics,
    wheels,
)

# All of our code that an application process may import; when it changes, `up` starts these processes anew.
OURS = (
    "activities",
    "adapters",
    "api",
    "audit",
    "cli",
    "config",
    "db",
    "domain",
    "temporal",
    "workers",
    "workflows",
    "web",
)


def _nowhere(context: InstallContext) -> Mapping[str, str]:
    return {}


def _nothing(context: InstallContext, facts: Mapping[str, str]) -> None:
    return None


@dataclass(frozen=True)
class Process:
    """One row. The command is a template.

    It may name {python}, {data}, {ports[…]}, what `locate` finds, and what a throwaway stack has otherwise.
    """

    name: str
    command: str
    ports: Mapping[str, int] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ready: probes.Probe | None = None
    locate: Callable[[InstallContext], Mapping[str, str]] = _nowhere
    lay_out: Callable[[InstallContext, Mapping[str, str]], None] = _nothing
    user: Callable[[], tuple[int, int] | None] = lambda: None
    stop: Signals = SIGTERM
    code: tuple[str, ...] = ()
    is_server: bool = True
    is_optional: bool = False
    runs_once: bool = False
    page: str = ""


SERVERS = (
    Process(
        "postgres",
        "{bin}/postgres -D {cluster} -p {ports[postgres]} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        " -c max_connections=400 -c fsync={fsync} -c full_page_writes={fsync} -c timezone=UTC",
        ports={"postgres": 15432},
        locate=postgres.locate,
        lay_out=postgres.lay_out,
        user=postgres.user,
        stop=SIGINT,  # Postgres's fast shutdown: SIGTERM would wait for every client to leave
        ready=probes.postgres,
    ),
    Process(
        "redis",
        # It must begin empty after a restart: see "Redis" in docs/operations.md.
        "{server} --bind 127.0.0.1 --port {ports[redis]} --dir {data} --save '' --appendonly no --set-proc-title no",
        ports={"redis": 16379},
        locate=wheels.redis,
        ready=probes.redis,
    ),
    Process(
        "temporal",
        "{server} server start-dev --ip 127.0.0.1 --port {ports[temporal]} --ui-port {ports[temporal-ui]}"
        # A write-ahead log doubles the workflows a second (50 to 100 measured) and loses nothing.
        " --db-filename {data}/temporal.sqlite --sqlite-pragma journal_mode=WAL"
        " --sqlite-pragma synchronous={synchronous}"
        " --metrics-port {ports[temporal-metrics]} --ui-codec-endpoint http://127.0.0.1:{ports[api]}/v1/codec"
        " --log-level warn" + "".join(f" --search-attribute {name}=Keyword" for name in probes.SEARCH_ATTRIBUTES),
        ports={"temporal": 7233, "temporal-ui": 8233, "temporal-metrics": 18105},
        locate=wheels.temporal,
        ready=probes.temporal,
        env={"GOGC": "400"},  # collects garbage a quarter as often, for some tens of megabytes
        page="temporal-ui",
    ),
    Process(
        "kafka",
        # The second compiler would spend more than it saves at the rates of one machine.
        "{java} -Xms128m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
        " -Dlog4j2.configurationFile={source}/log4j2.yaml -cp {jars}"
        " kafka.Kafka {data}/server.properties",
        # A Kafka client goes on with the address that the broker gives it: the listener `kafka-proxied` gives out
        # toxiproxy's, so that a client which was let in by toxiproxy stays behind it.
        ports={"kafka": 19092, "kafka-controller": 19093, "kafka-proxied": 19094},
        locate=kafka.locate,
        lay_out=kafka.lay_out,
        ready=probes.kafka,
    ),
    Process(
        "elasticsearch",
        "{java} -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir={data}/tmp {native}"
        # The vector library is one of those that no registry carries.
        " -Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false --module-path {home}/lib"
        " --add-modules=jdk.net,jdk.management.agent,jdk.incubator.vector,ALL-MODULE-PATH"
        " --enable-native-access=org.elasticsearch.nativeaccess,org.elasticsearch.foreign,org.apache.lucene.core"
        " -cp {home}/classes EsNode path.home={home} path.data={data}/data path.logs={data}/logs"
        " http.port={ports[elasticsearch]} transport.port={ports[elasticsearch-transport]}",
        ports={"elasticsearch": 19200, "elasticsearch-transport": 19300},
        locate=elasticsearch.locate,
        lay_out=elasticsearch.lay_out,
        ready=probes.elasticsearch,
    ),
    Process(
        "mail",
        "{python} -m stack.mail --host 127.0.0.1 --smtp-port {ports[smtp]} --port {ports[mail]} --data {data}",
        ports={"mail": 8025, "smtp": 1025},
        ready=probes.http("mail", "/readyz"),
        code=("stack/mail",),
        page="mail",
    ),
    Process(
        "sandbox",
        "{python} -m sandbox --host 127.0.0.1 --port {ports[sandbox]} --data {data}",
        ports={"sandbox": 8900},
        ready=probes.http("sandbox", "/healthz"),
        code=("sandbox",),
        page="sandbox",
    ),
    Process(
        "stripe-mock",
        "{server} -http-addr 127.0.0.1:{ports[stripe-mock]} -https-addr 127.0.0.1:{ports[stripe-mock-https]}",
        ports={"stripe-mock": 18111, "stripe-mock-https": 18112},  # left out, the second would be on all interfaces
        locate=stripe_mock.locate,
        # It has no page of its own health; any answer of its HTTP server means that it has loaded the description.
        ready=probes.listens("stripe-mock"),
        is_optional=True,
    ),
    Process(
        "toxiproxy",
        "{server} -host 127.0.0.1 -port {ports[toxiproxy]}",
        ports={"toxiproxy": 18474, "toxiproxy-kafka": 18475},  # all its other proxies choose theirs: tests/network.py
        locate=toxiproxy.locate,
        ready=probes.http("toxiproxy", "/version"),
        is_optional=True,
    ),
    Process(
        "jaeger",
        "{server} --config {data}/jaeger.yaml",
        ports={"jaeger": 16686, "jaeger-otlp": 14318, "jaeger-grpc": 16685, "jaeger-health": 16687},
        locate=jaeger.locate,
        lay_out=jaeger.lay_out,
        ready=probes.http("jaeger-health", "/status"),
        is_optional=True,
        page="jaeger",
    ),
    Process(
        "victoria-metrics",
        "{server} -httpListenAddr=127.0.0.1:{ports[graphs]} -storageDataPath={data} -retentionPeriod=7d"
        " -vmui.customDashboardsPath={dashboards} -search.latencyOffset=5s"
        " -memory.allowedBytes=256MB -loggerLevel=WARN",
        ports={"graphs": 18428},
        locate=victoria_metrics.locate,
        ready=probes.http("graphs", "/health"),
        is_optional=True,
        page="graphs",
    ),
    Process(
        "prometheus",
        "{server} --config.file={data}/prometheus.yaml --storage.tsdb.path={data}/tsdb"
        " --storage.tsdb.retention.time=31d --storage.remote.flush-deadline=1s --log.level=warn"
        " --web.listen-address=127.0.0.1:{ports[prometheus]} --web.enable-lifecycle",
        ports={"prometheus": 19090},
        locate=prometheus.locate,
        lay_out=prometheus.lay_out,
        ready=probes.http("prometheus", "/-/ready"),
        is_optional=True,
    ),
)


def _application(
    name: str,
    verb: str,
    ports: Mapping[str, int],
    ready: probes.Probe,
    page: str = "",
    env: Mapping[str, str] | None = None,
) -> Process:
    return Process(
        name,
        "{python} -m cli " + verb,
        ports=ports,
        needs=("migrate", "sandbox", "mail"),
        env={"SEATWRIGHT_METRICS_PORT": "{ports[" + name + "-metrics]}", **(env or {})},
        ready=ready,
        code=OURS,
        is_server=False,
        page=page,
    )


APPLICATIONS = (
    Process(
        "migrate",
        "{python} -m cli migrate",
        needs=("postgres", "redis", "temporal", "kafka", "elasticsearch"),
        code=OURS,
        is_server=False,
        runs_once=True,
    ),
    _application(
        "api",
        "serve --port {ports[api]}",
        {"api": 8000, "api-internal": 8100, "api-metrics": 18100},
        probes.http("api", "/readyz"),
        page="api",
        env={"SEATWRIGHT_INTERNAL_PORT": "{ports[api-internal]}"},
    ),
    _application(
        "work",
        "work",
        {"work-metrics": 18101, "sagas-metrics": 18104},
        probes.http("work-metrics", "/readyz"),
        env={"SEATWRIGHT_TEMPORAL_METRICS_PORT": "{ports[sagas-metrics]}"},
    ),
    _application("relay", "relay", {"relay-metrics": 18102}, probes.http("relay-metrics", "/readyz")),
    _application("consume", "consume", {"consume-metrics": 18103}, probes.http("consume-metrics", "/readyz")),
)

TABLE: Mapping[str, Process] = {process.name: process for process in (*SERVERS, *APPLICATIONS)}
DEFAULT_PORTS: Mapping[str, int] = {key: port for process in TABLE.values() for key, port in process.ports.items()}


def named(name: str) -> Process:
    """The row of that name; an error that lists the names, if there is none."""
    if name not in TABLE:
        raise StackError(f"nothing here is called {name!r}; there are: {', '.join(TABLE)}")
    return TABLE[name]


def with_needs(names: Iterable[str]) -> list[Process]:
    """These processes and all that they need, in the table's order, which is also the order to start them in."""
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(named(name).needs)
    return [process for process in TABLE.values() if process.name in wanted]


def all_needs(name: str) -> list[str]:
    """All that a process needs at any distance, also behind one that runs once, such as `migrate`."""
    return [process.name for process in with_needs(named(name).needs)]


WATCHERS = ("jaeger", "victoria-metrics", "prometheus")
"""What shows how the others do: traces, graphs, alerts."""


def usual(servers_only: bool = False) -> list[str]:
    """What `up` starts when it gets no names."""
    return [row.name for row in TABLE.values() if not row.is_optional and (row.is_server or not servers_only)]
