"""What the greeting can do."""

from __future__ import annotations

from pydantic import BaseModel, Field

from integrations.providers.hello import hello
from integrations.sdk import RunContext, action


class WorldInputs(BaseModel):
    name: str = Field(min_length=1, title="Name", description="Who is greeted.", examples=["Ada"])


class WorldOutput(BaseModel):
    message: str = Field(title="Message", description="The greeting.")


@action(
    provider=hello,
    key="hello.world",
    name="Say hello",
    auth_type="none",
    input_schema=WorldInputs,
    output_schema=WorldOutput,
    sample={"message": "Hello Ada"},
    idempotent=True,
    pure=True,
    http=False,
    synonyms=("greet", "test", "example"),
    summary=lambda output: str(output["message"]),
)
async def world(ctx: RunContext[WorldInputs]) -> dict[str, str]:
    """Greet somebody by name."""
    return {"message": f"Hello {ctx.inputs.name}"}
