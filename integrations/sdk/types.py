"""Types of values that cross a JSON border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

JSONValue: TypeAlias = JsonValue
JSONObject: TypeAlias = Mapping[str, JsonValue]

AuthType: TypeAlias = Literal["oauth2", "api_key", "bearer_token", "basic", "none"]
Effect: TypeAlias = Literal["read", "create", "update", "delete", "search", "none"]
# Of these, what changes nothing at a provider.
READS: Final[frozenset[Effect]] = frozenset({"read", "search"})
