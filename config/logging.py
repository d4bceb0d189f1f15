"""Logs: readable lines in a terminal, otherwise one JSON object a line; never secrets or personal data.

The platform's own records go directly to stderr, and only those of libraries pass through `logging`: the access log
of a refusal would otherwise cost more than the refusal.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

_WITHHELD = frozenset(
    {"authorization", "access_token", "refresh_token", "password", "password_hash", "secret", "token", "dsn"}
    | {"email", "phone"}
)
_CHATTY = ("uvicorn.access", "elastic_transport.transport", "alembic", "stripe", "httpx2")


def configure() -> None:
    """Send structlog's and the standard library's records of this process to stderr, in one form.

    Run uvicorn with `log_config=None, access_log=False`: the API writes its own access log.
    """
    structlog.configure(
        processors=[*_shared(), *_written()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_written()],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_shared()],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _withhold,
    ]


def _written() -> list[Processor]:
    # Plain text traces: the structured ones would carry local variables.
    if sys.stderr.isatty():
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]


def _json(event: Mapping[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _withhold(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The last line of defence: our code must not log these in the first place."""
    for key in event.keys() & _WITHHELD:
        event[key] = "[withheld]"
    return event
