"""Names that models and addresses need of a workflow's document, without the document itself. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

KEY_PATTERN: Final = r"[a-z][a-z0-9_]{0,62}"
SLUG_PATTERN: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class TriggerType(StrEnum):
    MANUAL = "manual"
    WEBHOOK = "webhook"
    SCHEDULE = "schedule"
    FORM = "form"
    POLLING = "polling"
    EVENT = "event"
    ERROR = "error"
    WORKFLOW = "workflow"
