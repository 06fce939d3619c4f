"""The providers' official descriptions: they lie outside the project, in the folder that API_SPECS names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import jsonschema
import pytest
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from integrations.sdk import Action
from integrations.sdk.testing import run_action
from tests.contract.recorded import EXCHANGES

SPECS: Final = os.environ.get("API_SPECS", "")

# The mark of a test module that reads them.
described = pytest.mark.skipif(not SPECS, reason="API_SPECS does not name the folder with the official descriptions")


@cache
def description(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(SPECS) / path).read_text(encoding="utf-8"))
    return loaded


def request_of(action: Action, inputs: Mapping[str, Any], auth: Mapping[str, str], answer: Any = None) -> httpx.Request:
    """Return what an action sends; ``answer`` is what it gets, if not that of its exchange."""
    exchange = EXCHANGES[action.key]
    response = exchange.response() if answer is None else httpx.Response(200, json=answer)
    return run_action(action, inputs, auth=auth, http=[response], settings=exchange.settings).request


def validate(value: Any, spec: dict[str, Any], pointer: str) -> None:
    """Validate a value against the schema at ``pointer`` of a description, references resolved within it."""
    registry = Registry().with_resource("urn:spec", Resource(contents=spec, specification=DRAFT202012))
    validator = validator_for({}, default=jsonschema.Draft202012Validator)
    validator({"$ref": f"urn:spec#{pointer}"}, registry=registry).validate(value)


def all_properties(spec: dict[str, Any], pointer: str) -> dict[str, Any]:
    """Return the properties of a schema and of everything that it is made of."""
    node: Any = spec
    for part in pointer.strip("/").split("/"):
        node = node[part]
    found = dict(node.get("properties", {}))
    for part in node.get("allOf", ()):
        found |= all_properties(spec, part["$ref"].removeprefix("#")) if "$ref" in part else part.get("properties", {})
    return found
