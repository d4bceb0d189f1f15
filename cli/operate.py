"""Commands for operators: decide about a saga in `needs_attention`, pause and resume an event's cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import typer
from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from cli.audit_log import record
from config.settings import settings
from domain.bookings import OperatorAction
from temporal.connection import connect
from workflows.booking import BookingWorkflow
from workflows.event_cancellation import EventCancellation
from workflows.exchange import ExchangeWorkflow
from workflows.ids import (
    booking_workflow_id,
    event_cancellation_workflow_id,
    exchange_workflow_id,
    late_payment_workflow_id,
    refund_workflow_id,
    start_refund_taken_back,
)
from workflows.late_payment import LatePaymentWorkflow
from workflows.refund import RefundWorkflow
from workflows.refund_taken_back import RefundTakenBack

booking_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Decide about a booking that waits for an operator."
)
refund_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Decide about a refund that waits, or check one that succeeded."
)
exchange_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Decide about an exchange that waits for an operator."
)
late_payment_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Decide about a late payment that waits for an operator."
)
event_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Pause and resume the cancellation of an event."
)

T = TypeVar("T")

_LONGEST_WAIT: Final = 30.0  # seconds; a workflow answers a decision at once, unless no worker runs it

Action = Annotated[OperatorAction, typer.Argument(help="What to do with the step that fails.")]


@booking_app.callback()
def _of_booking() -> None:
    """Decide about a booking that waits for an operator."""


@booking_app.command()
def operate(booking_id: UUID, action: Action) -> None:
    """Retry, resolve or compensate the failed step of a booking."""

    async def decide(client: Client) -> None:
        handle = client.get_workflow_handle(booking_workflow_id(booking_id))
        await handle.execute_update(BookingWorkflow.operate, action)

    _send(decide, f"booking {booking_id}", f"booking.{action}", f"booking/{booking_id}")
    typer.echo(f"{action}: accepted by booking {booking_id}")


@refund_app.callback()
def _of_refund() -> None:
    """Decide about a refund that waits, or check one that succeeded."""


@refund_app.command(name="operate")
def operate_refund(refund_id: UUID, action: Action) -> None:
    """Retry or resolve the failed step of a refund."""

    async def decide(client: Client) -> None:
        handle = client.get_workflow_handle(refund_workflow_id(refund_id))
        await handle.execute_update(RefundWorkflow.operate, action)

    _send(decide, f"refund {refund_id}", f"refund.{action}", f"refund/{refund_id}")
    typer.echo(f"{action}: accepted by refund {refund_id}")


@refund_app.command(name="check")
def check_refund(refund_id: UUID) -> None:
    """Ask the provider whether a refund that succeeded has failed since; then it is made again."""

    async def ask(client: Client) -> bool:
        check = await client.start_workflow(
            RefundTakenBack.run, refund_id, start_signal="provider_has_news", **start_refund_taken_back(refund_id)
        )
        return await check.result()

    has_failed = _send(ask, f"the check of refund {refund_id}", "refund.check", f"refund/{refund_id}")
    said = "it had failed, and is made again" if has_failed else "nothing of it has failed"
    typer.echo(f"checked: refund {refund_id}: {said}")


@exchange_app.callback()
def _of_exchange() -> None:
    """Decide about an exchange that waits for an operator."""


@exchange_app.command(name="operate")
def operate_exchange(exchange_id: UUID, action: Action) -> None:
    """Retry or resolve the failed step of an exchange."""

    async def decide(client: Client) -> None:
        handle = client.get_workflow_handle(exchange_workflow_id(exchange_id))
        await handle.execute_update(ExchangeWorkflow.operate, action)

    _send(decide, f"exchange {exchange_id}", f"exchange.{action}", f"exchange/{exchange_id}")
    typer.echo(f"{action}: accepted by exchange {exchange_id}")


@late_payment_app.callback()
def _of_late_payment() -> None:
    """Decide about a late payment that waits for an operator."""


@late_payment_app.command(name="operate")
def operate_late_payment(
    intent_id: Annotated[str, typer.Argument(help="The provider's id of the payment: what follows `late-payment-`.")],
    action: Action,
) -> None:
    """Retry or resolve the failed step of a late payment."""
    if "@" in intent_id:  # the audit log keeps it for ever
        raise typer.BadParameter("this is the address of a person, and no payment", param_hint="INTENT_ID")

    async def decide(client: Client) -> None:
        handle = client.get_workflow_handle(late_payment_workflow_id(intent_id))
        await handle.execute_update(LatePaymentWorkflow.operate, action)

    _send(decide, f"late payment {intent_id}", f"late-payment.{action}", f"late-payment/{intent_id}")
    typer.echo(f"{action}: accepted by late payment {intent_id}")


@event_app.callback()
def _of_event() -> None:
    """Pause and resume the cancellation of an event."""


@event_app.command()
def pause(event_id: UUID) -> None:
    """Start no more refunds of the event; running ones continue."""
    _update_cancellation(event_id, EventCancellation.pause, "cancellation.pause")
    typer.echo(f"paused: the cancellation of event {event_id}")


@event_app.command()
def resume(event_id: UUID) -> None:
    """Continue a paused cancellation."""
    _update_cancellation(event_id, EventCancellation.resume, "cancellation.resume")
    typer.echo(f"resumed: the cancellation of event {event_id}")


def _update_cancellation(event_id: UUID, update: Any, action: str) -> None:
    async def decide(client: Client) -> None:
        id = event_cancellation_workflow_id(event_id)
        await client.get_workflow_handle(id).execute_update(update)

    _send(decide, f"the cancellation of event {event_id}", action, f"event/{event_id}")


def _send(decide: Callable[[Client], Awaitable[T]], to: str, action: str, object: str) -> T:
    """Record a decision in the audit log and send it to the workflow; returns what it answers.

    Exits with 1 if the workflow refuses it, and with 2 if no workflow is there to receive it, or if it is not known
    whether the workflow has received it.
    """

    async def connected() -> T:
        client = await connect(settings())
        await record(settings(), action, object)
        return await asyncio.wait_for(decide(client), _LONGEST_WAIT)

    try:
        return asyncio.run(connected())
    except WorkflowUpdateFailedError as error:
        typer.echo(f"refused: {error.cause}", err=True)
        raise typer.Exit(1) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, RPCError) as error:
        typer.echo(_why(error, to), err=True)
        raise typer.Exit(2) from error
    except RuntimeError as error:
        typer.echo(f"Temporal cannot be reached: {error}", err=True)
        raise typer.Exit(2) from error


def _why(error: Exception, to: str) -> str:
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return f"{to} has no running workflow: it does not exist, or it has ended"
    return (
        f"unknown: Temporal does not say whether {to} has received it, or will. Look at the workflow before you repeat "
        f"the command. ({type(error).__name__}: {error})"
    )
