"""The wheel and the production lock are enough: no file of the checkout is missing, and no development package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.utils import canonicalize_name

from ops.dependencies import PRODUCTION_LOCK, locked_here

ROOT = Path(__file__).parents[2]
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
COMPILED = shutil.ignore_patterns("__pycache__")
NOT_PACKED = {"LICENSE", "README.md", "pyproject.toml"}  # beside the packages: the build reads them
ONLY_WITH_EXTRAS = {"stack.mail.smtp": "aiosmtpd"}
"""Modules that need a package of an optional group, and its name."""

BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"

# Started with -S, Python reads no .pth file, so it does not follow the venv's link to the checkout.
IMPORT_ALL = """
import importlib, importlib.metadata, importlib.util, json, pkgutil, sys
options = json.loads(sys.argv[1])
class Refusing:
    def find_spec(name, path, target=None):
        if name.split(".")[0] in options["refused"]:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Refusing)
sys.path.append(options["site_packages"])
before = [name for name in (*options["packages"], "tests", "ops") if importlib.util.find_spec(name)]
sys.path.insert(0, options["wheel"])
failed = {}
def walk(paths, prefix=""):
    for module in pkgutil.iter_modules(paths, prefix):
        name = module.name
        if name.endswith("__main__"):
            continue
        try:
            imported = importlib.import_module(name)
        except Exception as why:
            failed[name] = getattr(why, "name", None) or repr(why)
            continue
        if module.ispkg:
            walk(imported.__path__, f"{name}.")
walk([options["wheel"]])
modules = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] in options["packages"]}
scripts = importlib.metadata.distribution("seatwright").entry_points
loaded = [script.name for script in scripts if script.load()]
print(json.dumps({"before": before, "failed": failed, "modules": modules, "scripts": loaded}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of these sources."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, sources / name, ignore=COMPILED)
    for name in NOT_PACKED:
        shutil.copy(ROOT / name, sources / name)
    _python("-c", BUILD, str(folder), cwd=sources)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Iterator[Path]:
    """A folder that holds the installed wheel and nothing else."""
    folder = wheel.parent / "site"
    _python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile", "-t", folder, wheel)
    yield folder
    if sys.pycache_prefix:  # shared with the checkout, which nothing else would clear of these
        shutil.rmtree(Path(sys.pycache_prefix) / folder.relative_to("/"), ignore_errors=True)


def test_every_module_of_the_wheel_imports_with_the_production_packages(installed: Path) -> None:
    seen = _import_all(installed)
    assert seen["before"] == [], "the checkout is importable without the wheel"
    assert seen["failed"] == ONLY_WITH_EXTRAS
    files = {Path(file) for file in seen["modules"].values() if file}
    assert all(file.is_relative_to(installed) for file in files)
    without = {f"{name.replace('.', '/')}.py" for name in ONLY_WITH_EXTRAS}
    assert {str(file.relative_to(installed)) for file in files} == _modules() - without
    assert seen["scripts"] == ["seatwright"]


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        contents = {name: packed.read(name) for name in packed.namelist() if ".dist-info/" not in name}
    assert contents.keys() == _files()
    assert contents == {name: (ROOT / name).read_bytes() for name in _files()}


def test_the_wheel_says_its_license_and_its_authors(installed: Path) -> None:
    [metadata] = installed.glob("*.dist-info/METADATA")
    lines = metadata.read_text().splitlines()
    assert {"License-Expression: Apache-2.0", "License-File: LICENSE", "Author: Seatwright developers"} <= set(lines)


def _files() -> set[str]:
    """All files of the packages in the checkout, relative to it."""
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def _modules() -> set[str]:
    """The modules among them: a migration's version is read by its path, since its name starts with a digit."""
    python = {path for path in _files() if path.endswith(".py") and not path.endswith("__main__.py")}
    return {path for path in python if "/migrations/" not in path}


def _not_in_production() -> list[str]:
    """The top-level modules of the venv that only packages outside the production lock bring."""
    production = locked_here(PRODUCTION_LOCK).keys()
    providers = packages_distributions()
    return [module for module, names in providers.items() if not production & set(map(canonicalize_name, names))]


def _import_all(folder: Path) -> dict[str, Any]:
    options = {
        "wheel": str(folder),
        "site_packages": sysconfig.get_path("purelib"),
        "packages": sorted(PACKAGES),
        "refused": sorted(set(_not_in_production()) - PACKAGES),
    }
    said = _python("-PsS", "-c", IMPORT_ALL, json.dumps(options), cwd=folder)
    seen: dict[str, Any] = json.loads(said.splitlines()[-1])
    return seen


def _python(*arguments: str | Path, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
