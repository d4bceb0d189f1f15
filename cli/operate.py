"""Operators' commands: a saga that waits in `needs_attention`, and the cancellation of an event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import typer
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from cli.audit_log import note
from config.settings import settings
from domain.bookings import OperatorAction
from temporal.connection import connect
from workflows.booking import BookingWorkflow
from workflows.event_cancellation import EventCancellation
from workflows.exchange import ExchangeWorkflow
from workflows.ids import booking_workflow_id, event_cancellation_workflow_id, exchange_workflow_id, refund_workflow_id
from workflows.refund import RefundWorkflow

booking_app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate on one booking's saga.")
refund_app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate on one refund.")
exchange_app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate on one exchange.")
event_app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate on the cancellation of an event.")

Action = Annotated[OperatorAction, typer.Argument(help="What to do with the step that fails.")]


@booking_app.callback()
def _of_booking() -> None:
    """Operate on one booking's saga."""


@booking_app.command()
def operate(booking_id: UUID, action: Action) -> None:
    """Tell a saga that needs attention to retry, resolve or compensate."""

    async def order(client: Client) -> None:
        handle = client.get_workflow_handle(booking_workflow_id(booking_id))
        await handle.execute_update(BookingWorkflow.operate, action)

    _hand_in(order, f"booking {booking_id}", f"booking.{action}", f"booking/{booking_id}")
    typer.echo(f"{action}: handed to booking {booking_id}")


@refund_app.callback()
def _of_refund() -> None:
    """Operate on one refund."""


@refund_app.command(name="operate")
def operate_refund(refund_id: UUID, action: Action) -> None:
    """Tell a refund that needs attention to retry or resolve."""

    async def order(client: Client) -> None:
        handle = client.get_workflow_handle(refund_workflow_id(refund_id))
        await handle.execute_update(RefundWorkflow.operate, action)

    _hand_in(order, f"refund {refund_id}", f"refund.{action}", f"refund/{refund_id}")
    typer.echo(f"{action}: handed to refund {refund_id}")


@exchange_app.callback()
def _of_exchange() -> None:
    """Operate on one exchange."""


@exchange_app.command(name="operate")
def operate_exchange(exchange_id: UUID, action: Action) -> None:
    """Tell an exchange that needs attention to retry or resolve."""

    async def order(client: Client) -> None:
        handle = client.get_workflow_handle(exchange_workflow_id(exchange_id))
        await handle.execute_update(ExchangeWorkflow.operate, action)

    _hand_in(order, f"exchange {exchange_id}", f"exchange.{action}", f"exchange/{exchange_id}")
    typer.echo(f"{action}: handed to exchange {exchange_id}")


@event_app.callback()
def _of_event() -> None:
    """Operate on the cancellation of an event."""


@event_app.command()
def pause(event_id: UUID) -> None:
    """Begin no more refunds of a cancelled event; those under way go on."""
    _tell_cancellation(event_id, EventCancellation.pause, "cancellation.pause")
    typer.echo(f"paused: the cancellation of event {event_id}")


@event_app.command()
def resume(event_id: UUID) -> None:
    """Go on with a paused cancellation."""
    _tell_cancellation(event_id, EventCancellation.resume, "cancellation.resume")
    typer.echo(f"goes on: the cancellation of event {event_id}")


def _tell_cancellation(event_id: UUID, update: Any, action: str) -> None:
    async def order(client: Client) -> None:
        id = event_cancellation_workflow_id(event_id)
        await client.get_workflow_handle(id).execute_update(update)

    _hand_in(order, f"the cancellation of event {event_id}", action, f"event/{event_id}")


def _hand_in(order: Callable[[Client], Awaitable[None]], to: str, action: str, object: str) -> None:
    """Note an order in the audit log and hand it in.

    Leaves with 1 where it is refused, and with 2 where there is nobody to take it.
    """

    async def connected() -> None:
        client = await connect(settings())
        await note(settings(), action, object)
        await order(client)

    try:
        asyncio.run(connected())
    except WorkflowUpdateFailedError as error:
        typer.echo(f"refused: {error.cause}", err=True)
        raise typer.Exit(1) from error
    except (RPCError, RuntimeError) as error:
        typer.echo(_why(error, to), err=True)
        raise typer.Exit(2) from error


def _why(error: RPCError | RuntimeError, to: str) -> str:
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return f"{to} has no saga that runs: there is none, or it has ended"
    return f"Temporal cannot be reached: {error}"
