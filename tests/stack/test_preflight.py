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


OPTIMISED = preflight.Python("/usr/bin/python3.11", (3, 11, 2), 0.0088)
PLAIN = preflight.Python("/plain/python3.11", (3, 11, 7), 0.0111)
NEWER = preflight.Python("/newer/python3.13", (3, 13, 1), 0.0090)
UNTESTED = preflight.Python("/untested/python3.99", (3, 99, 0), 0.0010)
TOO_OLD = preflight.Python("/old/python3", (3, 7, 16), 0.0001)


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ((PLAIN, OPTIMISED), OPTIMISED),
        ((NEWER, OPTIMISED), NEWER),  # as fast, within the noise
        ((UNTESTED, OPTIMISED, PLAIN), OPTIMISED),
        ((UNTESTED,), UNTESTED),
        ((TOO_OLD, PLAIN), PLAIN),
    ],
    ids=lambda case: case.path if isinstance(case, preflight.Python) else "",
)
def test_the_environment_gets_the_fastest_interpreter_that_is_tested(
    monkeypatch: pytest.MonkeyPatch, there: tuple[preflight.Python, ...], chosen: preflight.Python
) -> None:
    measured = {python.path: python for python in there}
    monkeypatch.setattr(preflight, "_binaries", lambda: list(measured))
    monkeypatch.setattr(preflight, "_measure", measured.get)
    assert preflight.pythons()[0] == chosen


def test_the_chosen_interpreter_is_named_with_the_reason(capfd: pytest.CaptureFixture[str]) -> None:
    assert preflight.main(["--python"]) == 0
    path, reason = capfd.readouterr()
    assert os.access(path.strip(), os.X_OK)
    assert f"at {path.strip()} (" in reason
    assert "ms for a plain loop" in reason


def test_a_script_that_starts_an_interpreter_is_used_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python3.11"
    script.write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(script))
    assert [os.path.realpath(python.path) for python in preflight.pythons()] == [
        os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    ]


def test_java_home_comes_before_the_usual_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = jdk(tmp_path / "chosen", "21.0.2", "java", "javac", "jlink")
    monkeypatch.setenv("JAVA_HOME", str(chosen))
    assert preflight.find_jdk() == str(chosen)
