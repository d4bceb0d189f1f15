"""What is missing is named at once, by a bare Python, with the way to get it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack import preflight
from tests.pace import watch

SCRIPT = Path(preflight.__file__)


def bare(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it outside of the environment, isolated, with an empty PATH and no usual JVM folder."""
    code = SCRIPT.read_text().replace("JVM_FOLDERS = (", f'JVM_FOLDERS = ("{tmp_path}/jvm/*",) or (')
    (tmp_path / "preflight.py").write_text(code)
    python = os.path.realpath(sys.executable)
    return subprocess.run(
        [python, "-I", str(tmp_path / "preflight.py")],
        env={"PATH": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def jdk(folder: Path, version: str, *tools: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\n')
    for tool in tools:
        (folder / "bin" / tool).touch(mode=0o755)
    return folder


def test_java_and_maven_are_named_within_a_second(tmp_path: Path) -> None:
    with watch() as taken:
        done = bare(tmp_path)
    assert taken.seconds < taken.allows(1)
    assert done.returncode == 1
    assert "JDK 21 or later" in done.stderr
    assert "Maven" in done.stderr
    assert "default-jdk" not in done.stderr


def test_a_jdk_that_is_too_old_is_said_to_be_so(tmp_path: Path) -> None:
    jdk(tmp_path / "jvm" / "seventeen", "17.0.15", "java", "javac", "jlink")
    assert "found only 17 in" in bare(tmp_path).stderr


def test_a_runtime_without_jlink_is_no_jdk(tmp_path: Path) -> None:
    jdk(tmp_path / "jvm" / "runtime", "25.0.1", "java")
    assert "JDK 21 or later" in bare(tmp_path).stderr


def test_all_being_there_it_is_silent(tmp_path: Path) -> None:
    jdk(tmp_path / "jvm" / "temurin", "25.0.1", "java", "javac", "jlink")
    (tmp_path / "mvn").touch(mode=0o755)
    done = bare(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_java_home_comes_before_the_usual_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = jdk(tmp_path / "chosen", "21.0.2", "java", "javac", "jlink")
    monkeypatch.setenv("JAVA_HOME", str(chosen))
    assert preflight.find_jdk() == str(chosen)
