"""Apache Kafka from Maven: one broker that is its own controller."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from stack.fingerprints import of_folders
from stack.install_context import InstallContext
from stack.servers import install

SOURCE = install.JAVA / "kafka"
VERSION = "4.4.0"
# Any 16 bytes in base64 will do; a fixed one lets a formatted folder be formatted again without a clash.
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"


def locate(context: InstallContext) -> Mapping[str, str]:
    """Install it if need be, and say where it is."""
    home = install.once(
        context, f"kafka-{VERSION}-{of_folders([SOURCE])}", lambda at: install.jars(context, SOURCE / "pom.xml", at)
    )
    return {"java": str(install.jdk() / "bin" / "java"), "jars": f"{home}/*", "source": str(SOURCE)}


def lay_out(context: InstallContext, facts: Mapping[str, str]) -> None:
    """Write its settings, and format its storage the first time."""
    context.data.mkdir(parents=True, exist_ok=True)
    _settings(context)
    if not (context.data / "log" / "meta.properties").exists():
        context.say("formatting storage")
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID]
        log4j = f"-Dlog4j2.configurationFile={SOURCE}/log4j2.yaml"
        settings = ["-c", str(context.data / "server.properties")]
        install.run(context, [facts["java"], "-Xmx256m", log4j, "-cp", facts["jars"], *tool, *settings])


def _settings(context: InstallContext) -> Path:
    template = Template((SOURCE / "server.properties").read_text())
    path = context.data / "server.properties"
    path.write_text(
        template.substitute(
            port=context.ports["kafka"],
            controller_port=context.ports["kafka-controller"],
            proxied_port=context.ports["kafka-proxied"],
            proxy_port=context.ports["toxiproxy-kafka"],
            folder=context.data / "log",
        )
    )
    return path
