"""What the settings of traces may be: OpenTelemetry's own variables, of which its SDK reads all but these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.env_urls import is_web_address

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ENDPOINTS: Final = (ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_SPOKEN: Final = "http/protobuf"


def telemetry(values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of OpenTelemetry, none of them where no traces are to be sent."""
    found = {name: value for name, value in values.items() if name.startswith("OTEL_")}
    if found.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or found.get("OTEL_TRACES_EXPORTER") == "none":
        return {}
    return found if any(found.get(name) for name in _ENDPOINTS) else {}


def wrong(found: Mapping[str, str]) -> str | None:
    """Return what is wrong with those variables, in one sentence."""
    for name in _ENDPOINTS:
        if found.get(name) and not is_web_address(found[name]):
            return f"{name} is not an http or https URL without a user name: write it like http://127.0.0.1:4318."
    for name in _PROTOCOLS:
        if found.get(name, _SPOKEN) != _SPOKEN:
            return f"{name} is {found[name][:40]!r}, and traces are sent by {_SPOKEN} alone: set that, or take it out."
    return None
