"""``workflow.call``: another workflow of the tenant as one step. The engine makes the run and waits for it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from integrations.builtin.flow import engine_only
from integrations.sdk import Provider, RunContext, action

workflow = Provider(
    key="workflow",
    name="Workflow",
    description="Use another workflow as a step.",
    icon="flow",
    category="Logic",
    tile="logic",
    quality="silver",
)


class CallInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    workflow: str = Field(
        min_length=1, max_length=63, title="Workflow", examples=["qualify-leads"],
        description="Its address name. It needs a trigger of the type workflow, and to be published.",
    )  # fmt: skip
    payload: Any = Field(
        None, title="Payload", description="What it reads as {{ trigger.body }}.", examples=[{"domain": "example.com"}]
    )


@action(
    provider=workflow,
    key="workflow.call",
    name="Call a workflow",
    auth_type="none",
    input_schema=CallInputs,
    sample={"qualified": True},
    idempotent=True,
    pure=True,
    http=False,
    passes_on=("payload",),
    synonyms=("sub-workflow", "subworkflow", "reuse", "child", "run", "execute"),
)
async def call(ctx: RunContext[CallInputs]) -> Any:
    """Run another workflow and give its output."""
    engine_only("workflow.call")
