"""Details of a trace: SQL statements, commands of Redis, and spans of Temporal that take no time.

They are most of a trace's spans and of its cost. So a share of the traces has them all, chosen by the trace's id and so
the same in each process. The other traces have the statements and commands that failed or were slow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import time_ns
from typing import Any, Final, NamedTuple, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.util._decorator import _AgnosticContextManager
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError
from sqlalchemy import Engine, event

_MOMENTS: Final = ("StartActivity:", "ValidateUpdate:")
_SLOW: Final = 200_000_000  # nanoseconds
_RANDOM: Final = 2**56  # W3C: the last seven bytes of a trace's id are random
_NAMED: Final = 5  # commands of a pipeline
_BEGUN: Final = "seatwright_detail"

Answer = TypeVar("Answer")


class Share:
    """The traces that have all details."""

    def __init__(self, share: float) -> None:
        """Args: share: From 0 to 1."""
        self._below = round(share * _RANDOM)

    def has(self, trace_id: int) -> bool:
        """Whether this trace is one of them."""
        return trace_id % _RANDOM < self._below


class Begun(NamedTuple):
    """A detail that has begun.

    Attributes:
        at: Nanoseconds since 1970.
    """

    cause: SpanContext
    at: int


class Details:
    """Records details when they have ended: until then it is open whether they are worth a span."""

    def __init__(self, tracer: Tracer, share: Share) -> None:
        self._tracer = tracer
        self._share = share

    def begin(self) -> Begun | None:
        """None outside of traces: what a process does on its own, such as to look for work, is noise."""
        cause = get_current_span().get_span_context()
        return Begun(cause, time_ns()) if cause.trace_flags.sampled else None

    def end(self, begun: Begun, name: str, attributes: Mapping[str, str], error: BaseException | None = None) -> None:
        """Record it, if its trace has all details, or it has failed, or was slow."""
        ended = time_ns()
        if not (error or ended - begun.at > _SLOW or self._share.has(begun.cause.trace_id)):
            return
        cause = set_span_in_context(NonRecordingSpan(begun.cause), Context())
        span = self._tracer.start_span(name, cause, SpanKind.CLIENT, attributes, start_time=begun.at)
        if error:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def watch_sql(self, engines: Any = Engine) -> None:
        """Record the statements of these engines, or of all, without their parameters."""

        @event.listens_for(engines, "before_cursor_execute")
        def begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            connection.info[_BEGUN] = self.begin()

        @event.listens_for(engines, "after_cursor_execute")
        def end(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            self._end_statement(connection, statement)

        @event.listens_for(engines, "handle_error")
        def fail(failed: Any) -> None:
            if failed.connection is not None and failed.statement:
                self._end_statement(failed.connection, failed.statement, failed.original_exception)

    def _end_statement(self, connection: Any, statement: str, error: BaseException | None = None) -> None:
        if connection.invalidated:
            return
        begun = connection.info.pop(_BEGUN, None)
        if begun:
            words = statement.split(maxsplit=1)
            self.end(begun, words[0], {"db.system": "postgresql", "db.statement": statement}, error)

    def watch_redis(self) -> None:
        """Record commands without their arguments."""
        single: Any = Redis
        together: Any = Pipeline
        command, commands = single.execute_command, together.execute

        async def one(redis: Redis, *words: Any, **options: Any) -> Any:
            return await self._recorded(str(words[0]), lambda: command(redis, *words, **options))

        async def several(pipeline: Any, *args: Any, **options: Any) -> Any:
            name = " ".join(str(words[0]) for words, _ in pipeline.command_stack[:_NAMED])
            return await self._recorded(name, lambda: commands(pipeline, *args, **options))

        single.execute_command, together.execute = one, several

    async def _recorded(self, name: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        begun = self.begin()
        if not begun:
            return await call()
        error: BaseException | None = None
        try:
            return await call()
        except NoScriptError:
            raise  # no failure: the client sends the script, which Redis does not know yet, and calls it again
        except BaseException as failed:
            error = failed
            raise
        finally:
            self.end(begun, name, {"db.system": "redis"}, error)


class MomentTracer(Tracer):
    """Temporal's own spans; those that take no time are details, which cause what they would have caused."""

    def __init__(self, tracer: Tracer, share: Share) -> None:
        self._tracer = tracer
        self._share = share

    def start_span(self, name: str, *args: Any, **options: Any) -> Span:
        """A span."""
        return self._tracer.start_span(name, *args, **options)

    def start_as_current_span(self, name: str, *args: Any, **options: Any) -> _AgnosticContextManager[Span]:
        """A span for a block, or the one that is there already."""
        if name.startswith(_MOMENTS):
            now = get_current_span().get_span_context()
            if not self._share.has(now.trace_id):
                return use_span(NonRecordingSpan(now))
        return self._tracer.start_as_current_span(name, *args, **options)
