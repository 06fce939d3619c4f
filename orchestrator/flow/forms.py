"""What a form's config may say. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.flow.telling import error, warning

# What a new form asks for.
FIRST_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Name", "maxLength": 200},
        "email": {"type": "string", "title": "E-mail", "format": "email"},
        "message": {"type": "string", "title": "Message", "format": "textarea", "maxLength": 5000},
    },
    "required": ["name", "email"],
}


class FormConfig(BaseModel):
    """``schema`` is a JSON schema of an object, drawn as a form; ``thanks`` is shown when it was sent.

    ``rate_limit`` is how many may be sent in a minute.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    # Not `schema`: pydantic has a method of that name.
    form_schema: dict[str, Any] = Field(default_factory=lambda: dict(FIRST_SCHEMA), alias="schema")
    title: str = Field("", max_length=200)
    description: str = Field("", max_length=2_000)
    thanks: str = Field("", max_length=2_000)
    button: str = Field("", max_length=60)
    rate_limit: int | None = Field(60, ge=1, le=1_000_000)


def form_problems(path: str, config: FormConfig) -> Iterator[Problem]:
    """Yield what is wrong with a form's config beyond its shape; ``path`` is the config's."""
    found = schema_problems(config.form_schema, of_object=True)
    for where, message in found:
        yield error(f"{path}.schema.{where}".rstrip("."), message, "json_schema")
    if not found and not config.form_schema.get("properties"):
        yield warning(f"{path}.schema", _("The form has no field: people can only press its button."), "empty_form")


def config_of(config: Any) -> FormConfig:
    """Return a stored config. Raises ValidationError for one that was never checked."""
    return FormConfig.model_validate(config)
