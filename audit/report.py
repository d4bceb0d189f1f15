"""What the audit prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from audit.invariants import CHECKS
from audit.sources import Finding


def print_findings(findings: Sequence[Finding]) -> None:
    """Each broken invariant with its booking, or that all hold."""
    console = Console()
    if not findings:
        console.print(f"[green]clean[/green]: all {len(CHECKS)} invariants hold")
        return
    table = Table("invariant", "subject", "detail", title=f"{len(findings)} violations")
    for finding in findings:
        table.add_row(*finding)
    console.print(table)
