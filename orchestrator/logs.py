"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

# Set for every run, and asked for the few lines that are logged.
_about: ContextVar[Callable[[], Mapping[str, str]] | None] = ContextVar("about", default=None)


def json_formatter() -> logging.Formatter:
    """Return the formatter that turns a record of the standard library into one line of JSON."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            _without_query,
            _with_run,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def about(fields: Callable[[], Mapping[str, str]]) -> None:
    """Give every line that is logged from here on, in this context, what ``fields`` returns: which run it is about."""
    _about.set(fields)


def _with_run(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    fields = _about.get()
    return {**fields(), **event} if fields else event


def _without_query(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Keep of a request its method alone: the event names its path, and its query may hold a code that lets one in."""
    request = event.pop("request", None)
    method = getattr(request, "method", None)
    return {**event, "method": method} if method else event
