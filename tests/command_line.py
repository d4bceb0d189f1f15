"""Runs `seatwright` commands against the stack in this process, which saves the start of another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from typer import Typer
from typer.testing import CliRunner

from config.settings import settings


async def seatwright(commands: Typer, stack_env: Mapping[str, str], *arguments: str, exit_code: int = 0) -> str:
    """Run the command, which must end with this code; returns its output."""

    def run() -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in stack_env.items():
                patch.setenv(name, value)
            settings.cache_clear()
            try:
                result = CliRunner().invoke(commands, arguments)
            finally:
                settings.cache_clear()
        assert result.exit_code == exit_code, result.output
        return result.output

    return await asyncio.to_thread(run)
