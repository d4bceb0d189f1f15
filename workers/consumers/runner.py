"""Runs one member of a consumer group: handles each partition in order, and commits offsets after the effects."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from opentelemetry import propagate, trace
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.kafka.client import NotDelivered, OutgoingMessage, Publisher, dead_letters
from adapters.kafka.cloud_events import CloudEvent, Undecodable, read_cloud_event
from adapters.kafka.subscriber import IncomingMessage, Partition, Subscriber
from domain.problems import ProblemType, Refused
from workers.backoff import backoff, pause
from workers.consumers.retries import RetryPolicy, TryLater, origin_of, retries_of, wait_of

HANDLER_TIMEOUT = 30.0
LONGEST_BACKOFF = 15.0
MAX_ATTEMPTS = 5
LAST_WAIT = 3.0
"""Seconds that a handler has left when its partition goes to another member, or the process ends."""
_BUSY_WAIT = 0.5  # seconds that the loop waits for busy partitions before it polls without them

_handled = Counter("seatwright_consumer_handled", "Messages whose effect is complete", ["consumer", "type"])
_failed = Counter("seatwright_consumer_failed", "Failed attempts to handle a message", ["consumer", "error"])
_retried = Counter("seatwright_consumer_retried_later", "Messages put aside for a retry", ["consumer"])
_dead = Counter("seatwright_consumer_dead_lettered", "Messages moved to the dead letters", ["consumer"])
_delay = Histogram(
    "seatwright_consumer_delay_seconds",
    "From a domain event's transaction to the end of its effect",
    ["consumer"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)
_lag = Gauge("seatwright_consumer_lag", "Messages behind the last handled", ["consumer", "topic", "partition"])

log = structlog.get_logger()
tracer = trace.get_tracer("seatwright.consumers")


class Impossible(Exception):
    """A handler can never handle this message. The error text has no personal data."""


@dataclass(frozen=True)
class Subscription:
    """What one consumer group reads, and what it does.

    Attributes:
        handle: Has a domain event's effect; a repetition must be harmless. `Impossible` moves the message to the dead
            letters. `Refused` as UNAVAILABLE, or a failed connection, is retried without end. `TryLater` is retried
            beside the stream. Any other error is a bug, and is retried a few times. A handler that is cancelled has
            had no effect, or one that may be repeated; otherwise it raises `TryLater` instead.
        retries: How messages are retried beside the stream; None for a group whose handler never raises `TryLater`.
    """

    group: str
    topics: tuple[str, ...]
    handle: Callable[[CloudEvent], Awaitable[None]]
    retries: RetryPolicy | None = None

    @property
    def all_topics(self) -> tuple[str, ...]:
        """The topics of the stream, and those in which retries wait."""
        return self.topics + (self.retries.topics(self.group) if self.retries else ())


@dataclass(frozen=True)
class _Aside:
    """A message that is put aside: for a retry, or with the dead letters; and the error for which it is."""

    outgoing: OutgoingMessage
    error: Exception
    is_retry: bool


class _Lane:
    """One partition's waiting messages.

    Attributes:
        next_offset: The first that is not handled.
        limit: When the handler of the current message has to be ready; None while there is none.
    """

    def __init__(self) -> None:
        self.messages: deque[IncomingMessage] = deque()
        self.next_offset: int | None = None
        self.committed: int | None = None
        self.task: asyncio.Task[None] | None = None
        self.closing = asyncio.Event()
        self.limit: asyncio.Timeout | None = None

    @asynccontextmanager
    async def limited(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of a handler; `close` may shorten it."""
        async with asyncio.timeout(seconds) as self.limit:
            try:
                yield
            finally:
                self.limit = None

    def close(self) -> None:
        """Begin no other message, and let the handler of the current one end soon."""
        self.closing.set()
        if self.limit and not self.limit.expired():
            soon = asyncio.get_running_loop().time() + LAST_WAIT
            self.limit.reschedule(min(soon, self.limit.when() or soon))

    @property
    def busy(self) -> bool:
        return self.task is not None and not self.task.done()


class Runner:
    """One member of a consumer group. It polls without pause, so that it stays a member if its effects are slow."""

    def __init__(self, subscription: Subscription, bootstrap: str, publisher: Publisher) -> None:
        self._subscription = subscription
        self._bootstrap = bootstrap
        self._publisher = publisher
        self._lanes: dict[Partition, _Lane] = {}

    async def run(self, assigned: Callable[[], None], stop: asyncio.Event) -> None:
        """Consume until `stop`, then finish the current messages, commit and leave the group."""
        subscriber = Subscriber(
            self._bootstrap,
            self._subscription.group,
            self._subscription.all_topics,
            on_assigned=assigned,
            on_revoked=self._give_up,
        )
        try:
            while not stop.is_set():
                paused = {partition for partition, lane in self._lanes.items() if lane.busy}
                for message in await subscriber.poll(self._to_commit(), paused):
                    self._start(message)
                await self._wait_for_lanes(paused)
                self._show_lag(subscriber.lag)
        finally:
            await subscriber.close()

    def _start(self, message: IncomingMessage) -> None:
        lane = self._lanes.setdefault(message.partition, _Lane())
        lane.messages.append(message)
        if not lane.busy:
            lane.task = asyncio.create_task(self._work(lane))

    async def _wait_for_lanes(self, paused: AbstractSet[Partition]) -> None:
        fresh = [lane.task for partition, lane in self._lanes.items() if lane.task and partition not in paused]
        if fresh:
            await asyncio.wait(fresh, timeout=_BUSY_WAIT)
        for lane in self._lanes.values():
            if lane.task and lane.task.done():
                lane.task.result()  # an error of the runner itself ends the process

    def _to_commit(self) -> dict[Partition, int]:
        offsets = {
            partition: lane.next_offset
            for partition, lane in self._lanes.items()
            if lane.next_offset is not None and lane.next_offset != lane.committed
        }
        for partition, offset in offsets.items():
            self._lanes[partition].committed = offset
        return offsets

    async def _give_up(self, partitions: AbstractSet[Partition]) -> Mapping[Partition, int]:
        """Finish each partition's current message or leave it to the next member, and forget the partition."""
        leaving = {partition: self._lanes[partition] for partition in partitions if partition in self._lanes}
        for lane in leaving.values():
            lane.close()
        await asyncio.gather(*(lane.task for lane in leaving.values() if lane.task), return_exceptions=True)
        for partition in leaving:
            del self._lanes[partition]
        for partition in partitions:
            self._forget_lag(partition)
        return {partition: lane.next_offset for partition, lane in leaving.items() if lane.next_offset is not None}

    async def _work(self, lane: _Lane) -> None:
        while lane.messages and not lane.closing.is_set():
            if not await self._settle(lane.messages[0], lane):
                return
            lane.next_offset = lane.messages.popleft().offset + 1

    async def _settle(self, message: IncomingMessage, lane: _Lane) -> bool:
        """Handle a message or put it aside, with retries; False if the partition was given up before.

        What cannot be published at once is published later, and not handled again: its effect may have taken place.
        """
        attempt, closing, aside = 0, lane.closing, None
        if (seconds := wait_of(message)) > 0:
            await pause(closing, seconds)
        while not closing.is_set():
            attempt += 1
            try:
                aside = aside or await self._handle_or_put_aside(message, attempt, lane)
                if aside:
                    await self._publish(aside, message)
                return True
            except Exception as error:
                self._log_failure(message, error, attempt)
                await pause(closing, backoff(attempt, longest=LONGEST_BACKOFF))
        return False

    async def _handle_or_put_aside(self, message: IncomingMessage, attempt: int, lane: _Lane) -> _Aside | None:
        """None if the message is handled."""
        try:
            event = read_cloud_event(message)
            if event is None:
                log.info("unknown_type_skipped", consumer=self._subscription.group, **_where(message))
            else:
                await self._handle(event, lane, is_retry=retries_of(message) > 0)
        except TryLater as error:
            return self._retry_later(message, error) or self._dead_letter(message, error)
        except (Undecodable, Impossible) as error:
            return self._dead_letter(message, error)
        except Exception as error:
            if attempt < MAX_ATTEMPTS or _is_transient(error):
                raise
            return self._dead_letter(message, error)
        return None

    async def _handle(self, event: CloudEvent, lane: _Lane, *, is_retry: bool) -> None:
        cause = propagate.extract({"traceparent": event.traceparent} if event.traceparent else {})
        attributes = {
            "messaging.system": "kafka",
            "messaging.consumer.group.name": self._subscription.group,
            "cloudevents.event_id": str(event.id),
            "cloudevents.event_type": event.data.type,
        }
        name = f"{self._subscription.group} {event.data.type}"
        with tracer.start_as_current_span(name, cause, trace.SpanKind.CONSUMER, attributes):
            retries = self._subscription.retries if is_retry else None
            async with lane.limited(retries.seconds if retries else HANDLER_TIMEOUT):
                await (retries or self._subscription).handle(event)
        _handled.labels(self._subscription.group, event.data.type).inc()
        _delay.labels(self._subscription.group).observe(max(0.0, time.time() - event.time.timestamp()))
        log.debug("message_handled", consumer=self._subscription.group, type=event.data.type, id=str(event.id))

    def _retry_later(self, message: IncomingMessage, error: TryLater) -> _Aside | None:
        """None if there have been enough retries."""
        policy, group = self._subscription.retries, self._subscription.group
        doubt = error.may_have_arrived
        again = policy.next(group, message, time.time(), may_have_arrived=doubt) if policy else None
        return _Aside(again, error, is_retry=True) if again else None

    def _dead_letter(self, message: IncomingMessage, error: Exception) -> _Aside:
        origin = {name.replace("origin", "dead_letter"): value for name, value in origin_of(message).items()}
        why = origin | {"dead_letter_error": _describe(error)}
        headers = message.headers + tuple((name, value.encode()) for name, value in why.items())
        topic = dead_letters(self._subscription.group)
        return _Aside(OutgoingMessage(topic, message.key, message.value, headers), error, is_retry=False)

    async def _publish(self, aside: _Aside, message: IncomingMessage) -> None:
        group, topic, error = self._subscription.group, aside.outgoing.topic, aside.error
        await self._publisher.publish(aside.outgoing)
        if aside.is_retry:
            _retried.labels(group).inc()
            log.warning("retried_later", consumer=group, retry_topic=topic, error=str(error), **_where(message))
        else:
            _dead.labels(group).inc()
            log.error("dead_letter", consumer=group, error=_describe(error), **_where(message))

    def _log_failure(self, message: IncomingMessage, error: Exception, attempt: int) -> None:
        _failed.labels(self._subscription.group, type(error).__name__).inc()
        log.warning(
            "handling_failed",
            consumer=self._subscription.group,
            attempt=attempt,
            error=_describe(error),
            **_where(message),
        )

    def _show_lag(self, behind: Mapping[Partition, int]) -> None:
        for partition, messages in behind.items():
            waiting = len(self._lanes[partition].messages) if partition in self._lanes else 0
            _lag.labels(self._subscription.group, partition.topic, partition.number).set(messages + waiting)

    def _forget_lag(self, partition: Partition) -> None:
        _lag.remove(self._subscription.group, partition.topic, str(partition.number))


def _is_transient(error: Exception) -> bool:
    if isinstance(error, Refused):
        return error.problem.type is ProblemType.UNAVAILABLE
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OSError | TimeoutError | OperationalError | PoolTimeout | NotDelivered)


def _describe(error: Exception) -> str:
    """The error as text; only some errors promise that their text has no contents of the message."""
    if isinstance(error, Undecodable | Impossible | Refused | NotDelivered | TryLater):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


def _where(message: IncomingMessage) -> dict[str, str | int]:
    return {"topic": message.partition.topic, "partition": message.partition.number, "offset": message.offset}
