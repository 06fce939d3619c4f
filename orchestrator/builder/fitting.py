"""Which values suit a field, by its JSON schema: the data column dims the others and says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

# Whatever is no list and no object can stand in a text.
_SCALARS: Final = "text number boolean null"
_TEXT: Final = (_SCALARS, noop("%(label)s takes text"))
_NUMBER: Final = ("number", noop("%(label)s takes a number"))
_BY_TYPE: Final[Mapping[str, tuple[str, str]]] = {
    "string": _TEXT,
    "integer": _NUMBER,
    "number": _NUMBER,
    "boolean": ("boolean", noop("%(label)s takes true or false")),
}
# Of what these controls hold everything is part of a text, whatever the schema says; a list is written one a line.
_BY_CONTROL: Final[Mapping[str, tuple[str, str]]] = {
    "text": _TEXT,
    "area": _TEXT,
    "code": _TEXT,
    "lines": (f"{_SCALARS} list", noop("%(label)s takes a list, or one value a line")),
    # Anything can stand somewhere in JSON.
    "json": ("", ""),
}


def values(part: Mapping[str, Any], control: str, label: str) -> tuple[str, str]:
    """Return the types of values that suit a property, and what is said of others; both empty where all do.

    ``part`` is resolved, with one type; ``control`` is the kind of field that shows it, ``label`` its name.
    """
    fits, words = _BY_CONTROL.get(control) or _BY_TYPE.get(str(part.get("type")), ("", ""))
    return fits, _(words) % {"label": label} if words else ""


def kinds() -> dict[str, str]:
    """Return what each type of a value is called beside why it does not suit."""
    return {
        "text": _("a text"),
        "number": _("a number"),
        "boolean": _("true or false"),
        "list": _("a list"),
        "object": _("a group of fields"),
        "null": _("nothing"),
    }
