"""Elasticsearch from Maven: its jars, a small launcher and a plugin for what only the full distribution has."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from stack.fingerprints import of_folders
from stack.install_context import InstallContext
from stack.servers import install

SOURCE = install.JAVA / "elasticsearch"
VERSION = "9.5.3"
PLUGIN = "seatwright-basics"


def locate(context: InstallContext) -> Mapping[str, str]:
    """Install it if need be, and say where it is."""
    java = install.jdk() / "bin"
    name = f"elasticsearch-{VERSION}-{of_folders([SOURCE])}"
    home = install.once(context, name, lambda at: _build(context, at, java))
    return {"java": str(java / "java"), "home": str(home), "native": _native(context)}


def lay_out(context: InstallContext, facts: Mapping[str, str]) -> None:
    """Make its folders, and link the one native library that it uses."""
    for folder in ("data", "tmp", "native"):
        (context.data / folder).mkdir(parents=True, exist_ok=True)
    if library := _zstd():
        link = context.data / "native" / "libzstd.so"
        link.unlink(missing_ok=True)
        link.symlink_to(library)


def _native(context: InstallContext) -> str:
    """Where it finds libzstd; without that it compresses by Java's own means, which is slower and works."""
    return f"-Des.nativelibs.path={context.data}/native" if _zstd() else "-Dseatwright.zstd=absent"


def _zstd() -> str | None:
    folders = [*Path("/usr/lib").glob("*-linux-gnu*"), *map(Path, ("/usr/lib64", "/usr/lib", "/lib64", "/lib"))]
    return next((str(folder / "libzstd.so.1") for folder in folders if (folder / "libzstd.so.1").exists()), None)


def _build(context: InstallContext, home: Path, java: Path) -> None:
    plugin, transport = home / "plugins" / PLUGIN, home / "modules" / "transport-netty4"
    for folder in ("lib", "config", "classes", "build"):
        (home / folder).mkdir(parents=True)
    install.jars(context, SOURCE / "pom.xml", home / "lib")
    shutil.copytree(SOURCE / "transport-netty4", transport)
    for jar in (*home.glob("lib/netty-*.jar"), *home.glob("lib/transport-netty4-*.jar")):
        jar.rename(transport / jar.name)
    context.say("compiling launcher and plugin")
    compiler = [f"{java}/javac", "-nowarn", "-cp", f"{home}/lib/*", "-d"]
    install.run(context, [*compiler, f"{home}/classes", f"{SOURCE}/launcher/EsNode.java"])
    install.run(context, [*compiler, f"{home}/build", f"{SOURCE}/plugin/BasicsPlugin.java"])
    plugin.mkdir(parents=True)
    install.run(context, [f"{java}/jar", "cf", f"{plugin}/{PLUGIN}.jar", "-C", f"{home}/build", "."])
    shutil.copy(SOURCE / "plugin" / "plugin-descriptor.properties", plugin)
