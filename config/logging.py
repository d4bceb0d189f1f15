"""Logs: readable lines in a terminal, otherwise one JSON object a line; never secrets or personal data.

The platform's own records go directly to stderr, and only those of libraries pass through `logging`: the access log
of a refusal would otherwise cost more than the refusal.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import Processor

_WITHHELD = frozenset(
    {"authorization", "access_token", "refresh_token", "password", "password_hash", "secret", "token", "dsn"}
    | {"email", "phone"}
)
_OF_TEMPORAL = {"temporal_workflow": "workflow", "temporal_activity": "activity"}
_CHATTY = ("uvicorn.access", "elastic_transport.transport", "alembic", "stripe", "httpx2")


def configure() -> None:
    """Send structlog's and the standard library's records of this process to stderr, in one form.

    Run uvicorn with `log_config=None, access_log=False`: the API writes its own access log.
    """
    structlog.configure(
        processors=[*_shared(), *_written()],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
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
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    _log_what_python_prints()


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
