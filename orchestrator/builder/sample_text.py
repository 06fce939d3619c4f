"""What somebody types as a sample: JSON, or what a form would send."""

from __future__ import annotations

from urllib.parse import parse_qsl

from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.types import JSONValue

MOST_FIELDS = 500


def sample_value(text: str, *, as_form: bool = False) -> JSONValue:
    """Return the value of a sample, None for an empty one. Raises BadJSON.

    As a form sends it every value is a text: ``name=Ada`` a line or divided by ``&``, or an object of JSON without
    anything nested. A name that comes more than once has a list.
    """
    if not text.strip():
        return None
    if not as_form:
        return jsongate.loads(text.encode())
    pairs = _of_json(text) if text.lstrip().startswith("{") else _of_lines(text)
    found: dict[str, JSONValue] = {}
    for name, value in pairs[:MOST_FIELDS]:
        before = found.get(name)
        if name not in found:
            found[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            found[name] = [before, value]
    return found


def _of_lines(text: str) -> list[tuple[str, str]]:
    return parse_qsl("&".join(text.splitlines()), keep_blank_values=True)


def _of_json(text: str) -> list[tuple[str, str]]:
    value = jsongate.loads(text.encode())
    assert isinstance(value, dict)
    pairs = [(name, each) for name, given in value.items() for each in (given if isinstance(given, list) else [given])]
    if any(isinstance(each, (dict, list)) for _name, each in pairs):
        raise jsongate.BadJSON(_("a form has no values inside of values"))
    return [
        (name, "" if each is None else each if isinstance(each, str) else jsongate.dumps(each)) for name, each in pairs
    ]
