"""(a) The booking saga against a textbook saga and a no-op workflow: rate, CPU, history events.

All three use the same client, server, store and worker process. The booking saga gets its commands as from the API. The
textbook saga gets its signal at once, before the seats are held, which makes it cheaper than with a real buyer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from temporalio.client import Client

from api.reservation import booking_saga
from bench.cpu import Meter
from bench.environment import fresh_stack, neighbours, pids, put_on_sale, settings_of
from bench.figures import Figure, measured, split_up
from bench.rounds import Sample, by_process, closed_loop, interleaved, ratios
from bench.textbook import QUEUE, NoOp, TextbookSaga
from bench.worker import bench_worker
from config.settings import Settings
from config.tracing import configure as configure_tracing
from domain.bookings import BookingRequest, BookingStatus, PaymentCommand
from temporal.connection import connect
from temporal.policies import booking_policy
from workflows.ids import booking_workflow_id

PART = "saga"
SEATS = 10_000  # of the new event of each round
_WAIT = 30.0
_NO_OP, _TEXTBOOK, _OURS = "no-op workflow", "textbook saga", "our saga"

Contestant = Callable[[], Awaitable[str]]


async def run(*, concurrency: int, seconds: float, rounds: int) -> Sequence[Figure]:
    """Measure each contestant `rounds` times with `concurrency` callers in a closed loop."""
    configure_tracing()
    with fresh_stack("migrate", "sandbox") as stack:
        for idle in ("kafka", "elasticsearch"):
            stack.stop(idle)
        with bench_worker(stack) as worker:
            servers = pids(stack, "temporal", "postgres", "redis", "sandbox")
            meter = Meter({**servers, "worker": worker}, own="client")
            bookings = Bookings(settings_of(stack), await connect(settings_of(stack)))

            def contestant(make: Contestant) -> Callable[[], Awaitable[Sample]]:
                async def round_() -> Sample:
                    await bookings.open_event()
                    await make()  # the first booking loads the event

                    async def one() -> None:
                        await make()

                    return await closed_loop(one, concurrency=concurrency, seconds=seconds, meter=meter)

                return round_

            contestants = {_NO_OP: bookings.no_op, _TEXTBOOK: bookings.textbook, _OURS: bookings.ours}
            events = {name: await bookings.events_of(make) for name, make in contestants.items()}
            samples = await interleaved(rounds, {name: contestant(make) for name, make in contestants.items()})
    return _figures(samples, events)


class Bookings:
    """Runs one workflow of each kind; each booking takes two seats of its own."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self.event = uuid4()
        self._seats: Iterator[Sequence[str]] = iter(())

    async def open_event(self) -> None:
        """Use a new event from now on."""
        self.event, self._seats = await put_on_sale(self._settings, SEATS), neighbours(SEATS)

    async def no_op(self) -> str:
        """Run a no-op workflow; returns its id, like the other two."""
        id = f"no-op-{uuid4()}"
        await self._client.execute_workflow(NoOp.run, id=id, task_queue=QUEUE)
        return id

    async def textbook(self) -> str:
        """Book with the textbook saga until it is confirmed. Returns the id of the workflow."""
        request = self._request()
        handle = await self._client.start_workflow(
            TextbookSaga.run, request, id=f"textbook-{request.id}", task_queue=QUEUE
        )
        await handle.signal(TextbookSaga.pay, self._payment(request.id))
        booking = await handle.result()
        assert booking.status is BookingStatus.CONFIRMED
        return handle.id

    async def ours(self) -> str:
        """Book with the booking saga until it is confirmed. Returns the id of the workflow."""
        request = self._request()
        held = await booking_saga.hold(self._client, request, wait=_WAIT)
        assert held.booking is not None, held.problem
        paid = await booking_saga.pay(
            self._client, request.id, self._payment(request.id), key=f"pay:{request.id}", wait=_WAIT
        )
        assert paid.booking is not None, paid.problem
        assert paid.booking.status is BookingStatus.CONFIRMED
        return booking_workflow_id(request.id)

    async def events_of(self, make: Contestant) -> int:
        """The number of history events of one workflow."""
        await self.open_event()
        handle = self._client.get_workflow_handle(await make())
        await handle.result()
        return len((await handle.fetch_history()).events)

    def _request(self) -> BookingRequest:
        id = uuid4()
        return BookingRequest(
            id=id,
            user_id=uuid4(),
            event_id=self.event,
            seats=tuple(next(self._seats)),
            quantities={},
            body_sha256=sha256(id.bytes).hexdigest(),
            hold_seconds=600,
            not_after=_soon(),
            policy=booking_policy(self._settings),
        )

    def _payment(self, id: UUID) -> PaymentCommand:
        return PaymentCommand(
            provider="stripe",
            payment_method="pm_card_visa",
            return_url=f"{self._settings.api_url}/v1/bookings/{id}",
            deadline=_soon(),
            body_sha256=sha256(id.bytes).hexdigest(),
        )


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=_WAIT)


def _figures(samples: Mapping[str, Sequence[Sample]], events: Mapping[str, int]) -> Sequence[Figure]:
    rates = {name: [sample.rate for sample in of] for name, of in samples.items()}
    costs = {name: [sample.cost("sandbox") for sample in of] for name, of in samples.items()}
    figures = [
        measured(PART, "our saga against the textbook's", ratios(rates[_OURS], rates[_TEXTBOOK]), "x", at_least=1.4),
        measured(PART, "the same by CPU", ratios(costs[_TEXTBOOK], costs[_OURS]), "x"),
        measured(PART, "our saga against no-op workflows", ratios(rates[_OURS], rates[_NO_OP]), "x", at_least=0.32),
        measured(PART, "history events of a happy booking", [events[_OURS]], "", at_most=30),
        measured(PART, "history events of the textbook saga", [events[_TEXTBOOK]]),
    ]
    for name, of in samples.items():
        figures += [
            measured(PART, f"{name}: completed", rates[name], "/s"),
            measured(PART, f"{name}: CPU without sandbox", costs[name], "ms"),
            split_up(PART, f"{name}: CPU by process", by_process(of), "ms"),
        ]
    return figures
