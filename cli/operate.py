"""Operators' commands for one booking's saga that waits in `needs_attention`."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from config.settings import settings
from domain.bookings import OperatorAction
from temporal.connection import connect
from workflows.booking import BookingWorkflow
from workflows.start import workflow_id

booking_app = typer.Typer(no_args_is_help=True)


@booking_app.callback()
def _group() -> None:
    """Operate on one booking's saga."""


@booking_app.command()
def operate(
    booking_id: UUID, action: Annotated[OperatorAction, typer.Argument(help="What to do with the step that fails.")]
) -> None:
    """Tell a saga that needs attention to retry, resolve or compensate."""
    try:
        asyncio.run(_operate(booking_id, action))
    except WorkflowUpdateFailedError as error:
        typer.echo(f"refused: {error.cause}", err=True)
        raise typer.Exit(1) from error
    except (RPCError, RuntimeError) as error:
        typer.echo(_why(error, booking_id), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{action}: handed to booking {booking_id}")


def _why(error: RPCError | RuntimeError, booking_id: UUID) -> str:
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return f"booking {booking_id} has no saga that runs: there is no such booking, or it has ended"
    return f"Temporal cannot be reached: {error}"


async def _operate(booking_id: UUID, action: OperatorAction) -> None:
    client = await connect(settings())
    handle = client.get_workflow_handle_for(BookingWorkflow.run, workflow_id(booking_id))
    await handle.execute_update(BookingWorkflow.operate, action)
