"""Logs: one JSON object a line in production, readable lines in development, never a secret or personal data."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from config.settings import Settings

_WITHHELD = frozenset(
    {"authorization", "access_token", "refresh_token", "password", "password_hash", "secret", "token", "dsn"}
    | {"email", "phone"}
)
_CHATTY = ("uvicorn.access", "elastic_transport.transport", "alembic", "stripe", "httpx2")


def configure(settings: Settings) -> None:
    """Send structlog's and the standard library's records of this process to stderr, in one form.

    Run uvicorn with `log_config=None, access_log=False`: the API writes its own access log.
    """
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_written(settings)],
            foreign_pre_chain=_shared(),
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _withhold,
    ]


def _written(settings: Settings) -> list[Processor]:
    if settings.mode == "development":
        plain = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        return [plain]
    # Plain text traces: the structured ones would carry local variables.
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _withhold(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The last line of defence: nobody should log these to begin with."""
    for key in event.keys() & _WITHHELD:
        event[key] = "[withheld]"
    return event
