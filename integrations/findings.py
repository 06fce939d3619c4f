"""What pydantic finds in a document or a form, in the language of whoever is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from integrations.words import gettext as _
from integrations.words import gettext_noop

# Pydantic's own texts by the type of what was found, with the names of its context. Only what people meet often: a text
# that is not here stays English.
TEXTS: Final[Mapping[str, str]] = {
    "missing": gettext_noop("Field required"),
    "extra_forbidden": gettext_noop("Extra inputs are not permitted"),
    "string_type": gettext_noop("Input should be a valid string"),
    "string_too_short": gettext_noop("String should have at least %(min_length)s characters"),
    "string_too_long": gettext_noop("String should have at most %(max_length)s characters"),
    "string_pattern_mismatch": gettext_noop("String should match pattern '%(pattern)s'"),
    "int_type": gettext_noop("Input should be a valid integer"),
    "int_parsing": gettext_noop("Input should be a valid integer, unable to parse string as an integer"),
    "int_from_float": gettext_noop("Input should be a valid integer, got a number with a fractional part"),
    "float_type": gettext_noop("Input should be a valid number"),
    "float_parsing": gettext_noop("Input should be a valid number, unable to parse string as a number"),
    "finite_number": gettext_noop("Input should be a finite number"),
    "bool_type": gettext_noop("Input should be a valid boolean"),
    "bool_parsing": gettext_noop("Input should be a valid boolean, unable to interpret input"),
    "greater_than": gettext_noop("Input should be greater than %(gt)s"),
    "greater_than_equal": gettext_noop("Input should be greater than or equal to %(ge)s"),
    "less_than": gettext_noop("Input should be less than %(lt)s"),
    "less_than_equal": gettext_noop("Input should be less than or equal to %(le)s"),
    "list_type": gettext_noop("Input should be a valid list"),
    "dict_type": gettext_noop("Input should be a valid dictionary"),
    "model_type": gettext_noop("Input should be a valid dictionary or instance of %(class_name)s"),
    "literal_error": gettext_noop("Input should be %(expected)s"),
    "enum": gettext_noop("Input should be %(expected)s"),
    "too_long": gettext_noop(
        "%(field_type)s should have at most %(max_length)s items after validation, not %(actual_length)s"
    ),
    "too_short": gettext_noop(
        "%(field_type)s should have at least %(min_length)s items after validation, not %(actual_length)s"
    ),
}


def findings(error: ValidationError) -> list[dict[str, Any]]:
    """Return each finding as ``{"loc", "msg", "type"}``, without the values that are wrong.

    What one of our own checks refused is told in its words alone: pydantic writes ``Value error, `` before them.
    """
    found = error.errors(include_url=False, include_input=False)
    return [{"loc": each["loc"], "msg": _said(each), "type": each["type"]} for each in found]


def _said(found: Mapping[str, Any]) -> str:
    said, text = str(found["msg"]), TEXTS.get(found["type"], "")
    if found["type"] == "value_error":
        return said.removeprefix("Value error, ")
    # Pydantic counts better than its texts here: one character, two characters.
    if not text or (translated := _(text)) == text:
        return said
    context = found.get("ctx", {})
    try:
        is_its_own = _counted(text % context) == _counted(said)
    except KeyError:
        is_its_own = False
    # One of our own checks may use the name of a type, with words that are translated already.
    return translated % context if is_its_own else said


def _counted(text: str) -> str:
    return text.replace("characters", "character").replace("items", "item")
