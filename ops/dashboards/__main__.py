"""`python -m ops.dashboards` writes the dashboards' files for Grafana and for VictoriaMetrics' pages."""

from __future__ import annotations

from pathlib import Path

from ops.dashboards.boards import DASHBOARDS
from ops.dashboards.render import grafana, vmui

HERE = Path(__file__).parent


def files() -> dict[Path, str]:
    """What each written file should hold."""
    written = {}
    for number, board in enumerate(DASHBOARDS, 1):
        written[HERE / "grafana" / f"{board.name}.json"] = grafana(board)
        written[HERE / "vmui" / f"{number}-{board.name}.json"] = vmui(board)  # its pages sort by the file's name
    return written


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
