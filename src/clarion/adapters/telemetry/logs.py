"""Structured logs on standard error: readable on a terminal, JSON lines elsewhere. Never contents or contacts."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

HIDDEN = frozenset(
    {
        "address",
        "api_key",
        "authorization",
        "body",
        "content",
        "data",
        "email",
        "password",
        "phone",
        "secret",
        "token",
    }
)
"""Fields whose values never reach a log, whoever puts them there."""


def set_up(level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:
    """Configure structlog and the standard library's logging alike; the last call counts.

    `format` is `console`, `json`, or `auto`: the former on a terminal.
    """
    out = stream if stream is not None else sys.stderr
    pretty = format == "console" or (format == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide,
    ]
    last: list[structlog.typing.Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if pretty
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)  # its steps are shown as progress
    logging.getLogger("uvicorn.access").disabled = True  # a line per request costs more than the request


def hide(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace what must not be logged."""
    for name in HIDDEN & event.keys():
        event[name] = "[hidden]"
    return event


def _json(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
