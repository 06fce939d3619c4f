"""What a step does when it fails: as its form holds it, and as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def rule_texts(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what the fields of the failure rule hold."""
    retry = config.get("retry") or {}
    values = {
        "retry_attempts": retry.get("max_attempts"),
        "retry_delay": retry.get("delay"),
        "timeout": config.get("timeout"),
    }
    return {
        **{name: "" if value is None else f"{value:g}" for name, value in values.items()},
        "retry_backoff": str(retry.get("backoff") or ""),
        "on_error": str(config.get("on_error")),
        "run_if": config.get("run_if") or "",
    }


def rule_words(config: Mapping[str, Any], unused: Mapping[str, str]) -> str:
    """Return what happens when a step fails, as a sentence or two; ``unused`` are options that mean nothing on it."""
    if "retry" in unused:
        goes_on = config.get("on_error") == "continue"
        return _("If it fails, the run goes on.") if goes_on else _("If it fails, the run stops here.")
    retry = config.get("retry") or {}
    times = int(retry.get("max_attempts") or 3)
    first = ngettext("Tries once.", "Tries up to %(count)d times when the fault may pass.", times) % {"count": times}
    goes_on = config.get("on_error") == "continue"
    then = _("If it still fails, the run goes on.") if goes_on else _("If it still fails, the run stops here.")
    return f"{first} {then}"
