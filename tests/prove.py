"""Runs the whole suite at full size on clean stacks of its own, and writes a report (`make prove`)."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NamedTuple, NoReturn
from xml.etree import ElementTree

import httpx2
import psycopg
from redis import Redis
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started by its path, Python knows only the folder of this file

from stack import Stack  # noqa: E402
from tests.conftest import TEST_SETTINGS  # noqa: E402
from tests.lanes import joined, lanes, turns  # noqa: E402
from tests.lanes import run as run_lanes  # noqa: E402

NAME = "prove"
CHAOS_SECONDS, CHAOS_RATE = 600, 7  # half of what two cores sustain
SLOWEST = 10
PACKAGES = ("temporalio", "fastapi", "sqlalchemy", "psycopg", "redis", "confluent-kafka", "elasticsearch", "stripe")


class Test(NamedTuple):
    """One test in JUnit's XML; `trouble` is empty if it passed."""

    suite: str
    name: str
    seconds: float
    trouble: str


class Run(NamedTuple):
    """The result of one run."""

    started: datetime
    seconds: float
    exit_code: int
    tests: Sequence[Test]
    audits: Mapping[str, subprocess.CompletedProcess[str]]  # of everything that a lane's stack has ever sold
    tables: Mapping[str, str]  # what tests have written down for this report, by title


def main() -> int:
    """Run everything, write the report, and stop all processes; returns 0 only if all passed."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that `finally` below is reached
    seed = int(os.environ.get("SEATWRIGHT_SEED", "20261123"))
    head = _git("rev-parse", "--short", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", ":!docs/proof")
    stacks = [Stack(name, ports="free") for name in dict.fromkeys(lane.stack for lane in lanes(NAME))]
    try:
        for stack in stacks:
            stack.clean()
            stack.up(settings=TEST_SETTINGS)
        run = _run(stacks, seed)
        servers = _servers(stacks[0])
    finally:
        for stack in stacks:
            stack.down()
    chaos = _chaos(seed)
    path = ROOT / "docs" / "proof" / f"{run.started:%Y-%m-%d}-{head}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_report(run, chaos, seed, head, changes, servers)) + "\n")
    print(f"{'proved' if _is_proof(run, chaos) else 'NOT PROVED'}: {path.relative_to(ROOT)}")
    return 0 if _is_proof(run, chaos) else 1


def _is_proof(run: Run, chaos: subprocess.CompletedProcess[str]) -> bool:
    return bool(run.tests) and not any(
        (run.exit_code, chaos.returncode, *(audit.returncode for audit in run.audits.values()))
    )


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _run(stacks: Sequence[Stack], seed: int) -> Run:
    started, clock = datetime.now(UTC), time.monotonic()
    with TemporaryDirectory() as folder:
        environment = {
            "SEATWRIGHT_SCALE": "full",
            "SEATWRIGHT_SEED": str(seed),
            "PYTHONHASHSEED": str(seed % 2**32),
        }
        options = ("-p", "no:cacheprovider", f"--hypothesis-seed={seed}")
        turn_by_turn = turns(lanes(NAME, junit=Path(folder)))
        ended = joined(run_lanes(lanes_of_turn, *options, environment=environment) for lanes_of_turn in turn_by_turn)
        tests = [test for xml in Path(folder).glob("*.xml") for test in _read(xml)]
    audits = {stack.paths.folder.name: _audit(stack) for stack in stacks}
    tables = {title: table for stack in stacks for title, table in _tables(stack).items()}
    return Run(started, time.monotonic() - clock, ended.code, tests, audits, tables)


def _read(xml: Path) -> list[Test]:
    return [
        Test(
            case.get("classname", "").replace(".", "/") + ".py",
            case.get("name", ""),
            float(case.get("time", "0")),
            next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), ""),
        )
        for case in ElementTree.parse(xml).iter("testcase")
    ]


def _tables(stack: Stack) -> dict[str, str]:
    return {path.stem.replace("-", ", "): path.read_text() for path in (stack.paths.folder / "proof").glob("*.md")}


def _audit(stack: Stack) -> subprocess.CompletedProcess[str]:
    """Audit everything that the stack has ever sold."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEATWRIGHT_")} | stack.env
    command = [sys.executable, "-m", "cli", "audit"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)


def _chaos(seed: int) -> subprocess.CompletedProcess[str]:
    """Run chaos on a stack of its own."""
    options = {"--seconds": CHAOS_SECONDS, "--rate": CHAOS_RATE, "--seed": seed}
    command = [sys.executable, "-m", "tests.chaos", *(str(part) for pair in options.items() for part in pair)]
    return subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)


def _report(
    run: Run, chaos: subprocess.CompletedProcess[str], seed: int, head: str, changes: str, servers: Iterable[str]
) -> list[str]:
    failed = [test for test in run.tests if test.trouble]
    passed = len(run.tests) - len(failed)
    return [
        f"# Proof of {head}, {run.started:%d %B %Y}",
        "",
        f"**{'All held' if _is_proof(run, chaos) else 'NOT PROVED'}**: {passed} of {len(run.tests)} tests passed in"
        f" {run.seconds:.0f} s at full size, beginning {run.started:%Y-%m-%d %H:%M} UTC.",
        "",
        "| | |",
        "|---|---|",
        f"| commit | {_git('rev-parse', 'HEAD')}{' with uncommitted changes' if changes else ''} |",
        f"| seed | {seed} |",
        f"| repeat | `SEATWRIGHT_SEED={seed} make prove` |",
        *(f"| {name} | {value} |" for name, value in _machine()),
        f"| servers | {', '.join(servers)} |",
        f"| packages | {', '.join(f'{name} {version(name)}' for name in PACKAGES)} |",
        "",
        *_list("Uncommitted", [f"`{line.strip()}`" for line in changes.splitlines()]),
        *_list("Not passed", [f"{test.trouble}: `{test.suite}::{test.name}`" for test in failed]),
        "## Suites",
        "",
        "| suite | tests | passed | seconds |",
        "|---|---:|---:|---:|",
        *_suites(run.tests),
        "",
        "## Slowest tests",
        "",
        "| test | seconds |",
        "|---|---:|",
        *(f"| `{test.suite}::{test.name}` | {test.seconds:.1f} |" for test in _slowest(run.tests)),
        "",
        *(line for title, table in sorted(run.tables.items()) for line in (f"## {title.capitalize()}", "", table)),
        "## The audit of everything afterwards",
        "",
        *(line for stack, audit in run.audits.items() for line in _audited(stack, audit)),
        "## Chaos",
        "",
        f"`make chaos SECONDS={CHAOS_SECONDS} RATE={CHAOS_RATE} SEED={seed}`, exit code {chaos.returncode}:",
        "",
        "```",
        chaos.stdout.strip(),
        "```",
    ]


def _audited(stack: str, audit: subprocess.CompletedProcess[str]) -> list[str]:
    told = (audit.stdout + audit.stderr).strip()
    return [f"`seatwright audit` of the stack `{stack}`, exit code {audit.returncode}:", "", "```", told, "```", ""]


def _list(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []


def _suites(tests: Iterable[Test]) -> Iterable[str]:
    by_suite: dict[str, list[Test]] = defaultdict(list)
    for test in tests:
        by_suite[test.suite].append(test)
    for suite, of_suite in sorted(by_suite.items()):
        passed = sum(not test.trouble for test in of_suite)
        yield f"| `{suite}` | {len(of_suite)} | {passed} | {sum(test.seconds for test in of_suite):.1f} |"


def _slowest(tests: Iterable[Test]) -> list[Test]:
    return sorted(tests, key=lambda test: -test.seconds)[:SLOWEST]


def _machine() -> list[tuple[str, str]]:
    cpu = _line("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((_line("/proc/meminfo", "MemTotal") or "0").split()[0]) / 2**20
    return [
        ("processor", f"{os.cpu_count()} cores, {cpu}"),
        ("memory", f"{memory:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
    ]


def _line(file: str, name: str) -> str:
    """The value of a line `name : value` of a file under /proc; empty if there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name), "")


def _servers(stack: Stack) -> list[str]:
    """The versions that the servers report."""
    with psycopg.connect(stack.env["SEATWRIGHT_POSTGRES_ADMIN_DSN"]) as postgres:
        version_of_postgres = postgres.info.server_version
    with Redis.from_url(stack.env["SEATWRIGHT_REDIS_URL"], decode_responses=True) as redis:
        version_of_redis = str(redis.info("server")["redis_version"])
    elastic = httpx2.get(stack.env["SEATWRIGHT_ELASTICSEARCH_URL"], timeout=60).json()["version"]["number"]
    return [
        f"PostgreSQL {version_of_postgres // 10000}.{version_of_postgres % 10000}",
        f"Redis {version_of_redis}",
        f"Elasticsearch {elastic}",
        f"Temporal {_version_of_temporal(stack)}",
        f"Kafka {_version_of_kafka()}",
    ]


def _version_of_temporal(stack: Stack) -> str:
    async def ask() -> str:
        client = await Client.connect(stack.env["SEATWRIGHT_TEMPORAL_ADDRESS"])
        return (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version

    return asyncio.run(ask())


def _version_of_kafka() -> str:
    """The version that the stack installs; a broker does not report its own."""
    pom = ElementTree.parse(ROOT / "stack" / "java" / "kafka" / "pom.xml")
    return pom.findtext(".//{*}kafka.version") or "?"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


if __name__ == "__main__":
    sys.exit(main())
