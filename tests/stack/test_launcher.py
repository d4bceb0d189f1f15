"""The launcher with real servers: what it starts, adopts, leaves alone and stops."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from stack import Stack, StackError, environment, exec_wrapper, ports
from stack.paths import CHECKOUT
from tests.freezing import freeze, thaw
from tests.pace import watch
from tests.scale import sample


def launching(*names: str, first: str = "pass") -> str:
    """Code of a launcher of the stack whose home is its argument, in a process of its own."""
    return (
        f"import pathlib, stack, sys; stack.ports.FREE_RANGE = {ports.FREE_RANGE};"
        f" tiny = stack.Stack('tiny', 'free', pathlib.Path(sys.argv[1])); {first}; tiny.up{names}"
    )


def client(stack: Stack) -> redis.Redis:
    return redis.Redis.from_url(stack.env["SEATWRIGHT_REDIS_URL"], decode_responses=True)


def query(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.env["SEATWRIGHT_POSTGRES_ADMIN_DSN"]) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def commands_with(text: str) -> list[str]:
    """The command lines on this machine that mention the text and are not a child of another such."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                session = (entry / "stat").read_text().rpartition(")")[2].split()[3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if text in command:
                found[session] = command
    return list(found.values())


def test_a_second_up_adopts_what_runs_within_two_seconds(lasting: Stack) -> None:
    names = ("postgres", "redis", "mail")
    lasting.up(*names)
    before = {name: lasting.pid(name) for name in names}
    with watch() as taken:
        Stack("tiny", home=lasting.paths.home).up(*names)
    assert taken.seconds < taken.allows(2)
    assert {name: lasting.pid(name) for name in names} == before
    assert all(before.values())


@pytest.mark.parametrize("seconds", sample([0.05, 0.2, 0.4, 0.7], 1, of="deaths of a launcher"))
def test_a_launcher_killed_in_mid_start_leaves_nothing_that_the_next_does_not_find(
    stack: Stack, seconds: float
) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", launching("postgres", "redis", first="print(flush=True)"), str(stack.paths.home)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with launcher:
        assert launcher.stdout
        assert launcher.stdout.readline()
        time.sleep(seconds)
        launcher.kill()
    stack.up("postgres", "redis")
    assert len(commands_with(f"--dir {stack.paths.data('redis')}")) == 1
    assert query(stack, "SELECT 1") == [(1,)]
    stack.down()
    assert commands_with(str(stack.paths.folder)) == []


def test_two_launchers_at_once_start_everything_once(stack: Stack) -> None:
    code = launching("postgres", "redis")
    both = [subprocess.Popen([sys.executable, "-c", code, str(stack.paths.home)], cwd=CHECKOUT) for _ in range(2)]
    assert [launcher.wait() for launcher in both] == [0, 0]
    assert len(commands_with(f"--dir {stack.paths.data('redis')}")) == 1
    assert query(stack, "SELECT 1") == [(1,)]


def test_free_ports_are_the_same_before_and_after_the_first_up(stack: Stack) -> None:
    before = stack.ports
    assert stack.ports == before
    stack.up("redis")
    assert stack.ports == before


def test_down_stops_its_own_and_nothing_else(stack: Stack, tmp_path: Path) -> None:
    neighbour = Stack("neighbour", ports="free", home=tmp_path)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        stack.up("redis", "mail")
        neighbour.up("redis")
        stack.down()
        assert not stack.is_running("redis")
        assert not stack.is_running("mail")
        assert neighbour.is_running("redis")
        assert stranger.poll() is None
        stranger.kill()


def test_a_pid_that_is_now_someone_elses_is_not_killed(stack: Stack) -> None:
    stack.up("redis")
    stack.kill("redis")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        record = json.loads(stack.paths.record("redis").read_text())
        other = exec_wrapper.start_ticks(stranger.pid) - 1
        stack.paths.record("redis").write_text(json.dumps(record | {"pid": stranger.pid, "ticks": other}))
        assert not stack.is_running("redis")
        stack.kill("redis")
        stack.down()
        assert stranger.poll() is None
        stranger.kill()


def test_a_taken_port_is_named_with_the_remedy_within_a_second(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taker:
        port = taker.getsockname()[1]
        stack, remedy = Stack("tiny", home=tmp_path), rf"port {port} \(redis\) is taken by .*--port redis=\d+"
        with watch() as taken, pytest.raises(StackError, match=remedy) as refused:
            stack.up("redis", ports={"redis": port})
        assert taken.seconds < taken.allows(1)
        assert not stack.is_running("redis")
        other = int(str(refused.value).partition("--port redis=")[2].split()[0])
    stack.up("redis", ports={"redis": other})


def test_a_stack_that_was_refused_its_ports_takes_free_ones_when_told_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StackError, match="is taken"):
            Stack("tiny", home=tmp_path).up("redis", ports={"redis": port})
        stack = Stack("tiny", ports="free", home=tmp_path)
        stack.up("redis")
        assert stack.ports["redis"] != port


def test_free_ports_are_chosen_anew_when_someone_takes_them_while_we_are_down(stack: Stack) -> None:
    stack.up("redis")
    port = stack.ports["redis"]
    stack.down()
    with socket.create_server(("127.0.0.1", port)):
        stack.up("redis")
        assert stack.ports["redis"] != port
        assert client(stack).ping()


def test_a_chosen_port_is_remembered_and_moves_what_runs(stack: Stack) -> None:
    stack.up("redis")
    [port] = [port for port in range(19500, 19600) if port not in stack.ports.values()][:1]
    stack.up("redis", ports={"redis": port})
    stack.up("redis")
    assert stack.ports["redis"] == port
    assert stack.env["SEATWRIGHT_REDIS_URL"].endswith(f":{port}/0")
    assert client(stack).ping()


def test_what_postgres_has_survives_sigkill_and_redis_begins_empty(lasting: Stack) -> None:
    lasting.up("postgres", "redis")
    query(lasting, "CREATE TABLE seats (name text)")
    query(lasting, "INSERT INTO seats VALUES ('A-1-12')")
    client(lasting).set("seat", "A-1-12")
    lasting.kill("postgres")
    lasting.kill("redis")
    assert not lasting.is_running("postgres")
    assert not lasting.is_running("redis")
    lasting.start("postgres")
    lasting.start("redis")
    assert query(lasting, "SELECT name FROM seats") == [("A-1-12",)]
    assert client(lasting).keys() == []


def test_postgres_starts_although_its_old_pid_is_now_someone_elses(lasting: Stack) -> None:
    lasting.up("postgres")
    [(folder,)] = query(lasting, "SHOW data_directory")
    lasting.kill("postgres")
    stale = Path(str(folder)) / "postmaster.pid"
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    lasting.start("postgres")
    assert query(lasting, "SELECT 1") == [(1,)]


def test_postgres_wants_the_password(lasting: Stack) -> None:
    lasting.up("postgres")
    port = lasting.env["SEATWRIGHT_POSTGRES_PORT"]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{port}/postgres")


def test_servers_wait_for_the_disk_but_in_a_throwaway_stack(lasting: Stack, stack: Stack) -> None:
    lasting.up("postgres")
    stack.up("postgres", throwaway=True)
    assert query(lasting, "SHOW fsync") == [("on",)]
    stack.stop("postgres")
    stack.up("postgres")
    assert query(stack, "SHOW fsync") == [("off",)]


def test_a_server_that_dies_at_its_start_is_reported_with_the_end_of_its_log(stack: Stack) -> None:
    stack.paths.data("redis").mkdir(parents=True)
    (stack.paths.data("redis") / "dump.rdb").write_text("no database")
    with pytest.raises(StackError, match=r"(?s)redis has ended.*signature"):
        stack.up("redis")


def test_a_frozen_server_is_killed_in_the_end_with_all_its_children(
    lasting: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting.down()  # else other servers of it would be found, too
    lasting.up("postgres")
    monkeypatch.setattr("stack.launcher.STOP_SECONDS", 0.3)
    pid = lasting.pid("postgres")
    assert pid
    freeze(pid)
    lasting.stop("postgres")
    assert commands_with(str(lasting.paths.folder)) == []
    lasting.start("postgres")


def test_a_spawned_process_has_its_own_port_and_is_forgotten_by_down(stack: Stack) -> None:
    stack.up("mail")
    spawned = stack.spawn("mail-2", "mail")
    assert stack.is_running("mail-2")
    assert spawned.ports["mail"] != stack.ports["mail"]
    stack.kill("mail-2")
    stack.start("mail-2")
    assert {seen.name: seen.state for seen in stack.status()}["mail-2"] == "ready"
    stack.down()
    assert "mail-2" not in stack.names()
    assert not stack.is_running("mail-2")


def test_a_spawned_server_is_not_ready_because_the_one_that_it_is_like_is(stack: Stack) -> None:
    stack.up("toxiproxy")  # Redis would be asked again and again
    stack.spawn("toxiproxy-2", "toxiproxy")
    pid = stack.pid("toxiproxy-2")
    assert pid
    freeze(pid)
    states = {seen.name: seen.state for seen in stack.status()}
    thaw(pid)
    assert (states["toxiproxy"], states["toxiproxy-2"]) == ("ready", "not ready")


def test_status_tells_ready_died_and_stopped_apart(stack: Stack) -> None:
    stack.up("redis", "mail")
    stack.kill("mail")
    states = {seen.name: seen.state for seen in stack.status()}
    assert (states["redis"], states["mail"], states["kafka"]) == ("ready", "died", "stopped")


def test_the_env_file_holds_what_the_processes_get_and_only_its_owner_may_read_it(stack: Stack) -> None:
    stack.up("redis")
    shell = subprocess.run(
        ["bash", "-c", f"set -a; . {stack.paths.env}; env"], capture_output=True, text=True, check=True
    )
    assert set(stack.env.items()) <= {tuple(line.split("=", 1)) for line in shell.stdout.splitlines() if "=" in line}
    assert stack.paths.env.stat().st_mode & 0o077 == 0
    assert stack.paths.state.stat().st_mode & 0o077 == 0


def test_who_has_sourced_another_stacks_env_does_not_mix_the_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATWRIGHT_REDIS_URL", "redis://the-demo")
    assert environment.for_application({"SEATWRIGHT_MODE": "development"}).get("SEATWRIGHT_REDIS_URL") is None


def test_an_unknown_name_is_answered_with_the_known_ones(stack: Stack) -> None:
    with pytest.raises(StackError, match="there are: postgres, redis"):
        stack.up("postgress")
