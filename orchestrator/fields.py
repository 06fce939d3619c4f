"""Model fields of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from orchestrator import jsongate

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField


class JSONTextField(_TextField):
    """JSON kept as text, the same on every database.

    Not ``jsonb``: that sorts and drops keys, refuses NUL and lone surrogates (text escapes them) and is
    parsed again by the server on every write, while nothing here is searched inside the database.
    """

    description = "JSON kept as text"

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else jsongate.parse(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else jsongate.dumps(value)

    def value_to_string(self, obj: models.Model) -> str:
        return jsongate.dumps(self.value_from_object(obj))
