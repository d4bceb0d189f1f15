"""Logs: readable lines in a terminal, otherwise one JSON object a line; never secrets or personal data.

The platform's own records go directly to stderr, and only those of libraries pass through `logging`: the access log
of a refusal would otherwise cost more than the refusal. Both have the level of the root logger, which a signal changes.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import FrameType, TracebackType
from typing import Any, Final

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import Processor

_WITHHELD = frozenset(
    {"authorization", "access_token", "refresh_token", "password", "password_hash", "secret", "token", "dsn"}
    | {"email", "phone"}
)
_OF_TEMPORAL = {"temporal_workflow": "workflow", "temporal_activity": "activity"}
LEVELS: Final = ("debug", "info", "warning", "error")
_CHATTY = ("uvicorn.access", "elastic_transport.transport", "alembic", "stripe", "httpx2")


def configure(level: str = "info") -> None:
    """Send structlog's and the standard library's records of this process to stderr, in one form.

    SIGUSR1 makes the running process log one level more, SIGUSR2 one level less. Run uvicorn with `log_config=None,
    access_log=False`: the API writes its own access log.

    Args:
        level: The least important level that is written, one of `LEVELS`.
    """
    structlog.configure(
        processors=[_drop_less_important, *_shared(), *_written()],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO)  # at `debug`, libraries quote what they send and receive
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_written()],
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _name_temporal_fields,
                *_shared(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    signal.signal(signal.SIGUSR1, _log_more)
    signal.signal(signal.SIGUSR2, _log_less)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    _log_what_python_prints()


def _log_more(_signal: int, _frame: FrameType | None) -> None:
    _move_level(-1)


def _log_less(_signal: int, _frame: FrameType | None) -> None:
    _move_level(1)


def _move_level(steps: int) -> None:
    root = logging.getLogger()
    now = LEVELS.index(logging.getLevelName(root.level).lower())
    level = LEVELS[max(0, min(now + steps, len(LEVELS) - 1))]
    root.setLevel(level.upper())
    # The signal may have come while this thread writes a line, whose lock it then has. An error is always written.
    threading.Thread(target=structlog.get_logger().error, args=["log_level_changed"], kwargs={"to": level}).start()


def _drop_less_important(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    if structlog.processors.NAME_TO_LEVEL.get(method, logging.CRITICAL) < logging.getLogger().level:
        raise structlog.DropEvent
    return event


def _log_what_python_prints() -> None:
    """Make warnings, and errors that nothing catches, lines like all others."""
    logging.captureWarnings(True)
    uncaught = logging.getLogger("uncaught")

    def log(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        uncaught.critical("uncaught error", exc_info=(kind, error or kind(), trace))

    sys.excepthook = log
    threading.excepthook = lambda args: log(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: log(args.exc_type, args.exc_value, args.exc_traceback)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_the_trace,
        _withhold,
    ]


def _written() -> list[Processor]:
    # Plain text traces: the structured ones would carry local variables.
    if sys.stderr.isatty():
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]


def _json(event: Mapping[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _name_temporal_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Give what the SDK adds the names of our own fields: `workflow`, `activity`, and `fields` of its core."""
    for theirs, ours in _OF_TEMPORAL.items():
        if theirs in event:
            event[ours] = event.pop(theirs)
    core = event.pop("temporal_log", None)
    if core is not None:
        event["fields"] = dict(core.fields)
    return event


def _name_the_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Add `trace_id`, which leads from a line to its trace and to the lines of other processes in it."""
    at = trace.get_current_span().get_span_context()
    if at.is_valid and at.trace_flags.sampled:  # a span that nothing records may have an id of its own
        event["trace_id"] = trace.format_trace_id(at.trace_id)
    return event


def _withhold(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A second safeguard: no code should log these values in the first place."""
    for key in event.keys() & _WITHHELD:
        event[key] = "[withheld]"
    return event
