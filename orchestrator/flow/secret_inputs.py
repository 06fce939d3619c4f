"""Inputs that are secrets: a step holds ``{"credential": "<name>"}`` in their place, never the value. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestrator.flow.secrets import HIDDEN
from orchestrator.types import JSONValue

# Whose credentials they are, and of which kind.
PROVIDER: Final = "secret"
# Providers whose credentials are put on no request: a step cannot have one as its own.
NEVER_SENT: Final = frozenset({PROVIDER, "webhook"})
AUTH_TYPE: Final = "api_key"
REFERENCE: Final = "credential"


def referenced(value: Any) -> str:
    """Return the name of the credential that a secret input holds, empty where it holds anything else."""
    if isinstance(value, Mapping) and value.keys() == {REFERENCE} and isinstance(value[REFERENCE], str):
        return str(value[REFERENCE])
    return ""


def reference(name: str) -> dict[str, JSONValue]:
    """Return what a secret input holds for the credential of this name."""
    return {REFERENCE: name}


def without_values(inputs: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """Return inputs as they may be kept and shown: whatever stands in a secret one and is no reference is hidden.

    That something stood there is still seen, so that it can be said.
    """
    held = {name for name in secrets if inputs.get(name) is not None and not referenced(inputs[name])}
    return {name: HIDDEN if name in held else value for name, value in inputs.items()}


def is_value(provider: str, auth_type: str) -> bool:
    """Whether a credential is a secret value, which alone goes into secret inputs.

    Any other was entered for its provider, and may be pinned to its hosts: an action must not get it as a text.
    """
    return (provider, auth_type) == (PROVIDER, AUTH_TYPE)
