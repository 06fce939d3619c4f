"""Steps that shape data; nothing leaves the run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from integrations.sdk import JSONValue, Provider, RunContext, action

data = Provider(
    key="data",
    name="Data",
    description="Shape and name values for later steps.",
    icon="db",
    category="Data",
    tile="db",
    quality="silver",
)


class SetInputs(BaseModel):
    values: dict[str, JSONValue] = Field(
        title="Values",
        description="Names and their values; later steps read them by name.",
        examples=[{"customer": "Ada", "plan": "trial"}],
    )


@action(
    provider=data,
    key="data.set",
    name="Set values",
    auth_type="none",
    input_schema=SetInputs,
    sample={"customer": "Ada", "plan": "trial"},
    idempotent=True,
    pure=True,
    http=False,
    synonyms=("variable", "assign", "map", "rename", "edit fields", "json"),
)
async def set_values(ctx: RunContext[SetInputs]) -> dict[str, Any]:
    """Name values, so that later steps read them easily."""
    return dict(ctx.inputs.values)
