"""``http.chatCompletion``: a language model at any endpoint that understands OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from integrations.builtin.http import http
from integrations.sdk import RunContext, action, ui
from integrations.sdk.chat import LongestAnswer
from integrations.sdk.completions import PATH, SAMPLE, ChatCompletionOutput, Question, completion, tokens


class EndpointInputs(Question):
    endpoint: str = Field(
        min_length=1,
        max_length=2_000,
        pattern=r"^https?://",
        title="Endpoint",
        description="The root of an API like OpenAI's: chat/completions is added to it.",
        examples=["https://models.example.com/v1"],
        json_schema_extra=ui(format="uri"),
    )
    model: str = Field(min_length=1, title="Model", description="As the endpoint calls it.", examples=["llama-3.3-70b"])
    max_tokens: LongestAnswer = None

    def payload(self) -> dict[str, Any]:
        """Return the body of the request; what is not set is left to the model."""
        return self.model_dump(exclude_none=True, include={"model", "max_tokens"}, mode="json") | self.question()


@action(
    provider=http,
    key="http.chatCompletion",
    name="Ask a model at an endpoint",
    auth_type="none",
    accepted_auth=("bearer_token", "oauth2", "api_key", "basic"),
    auth_required=False,
    any_provider=True,
    input_schema=EndpointInputs,
    output_schema=ChatCompletionOutput,
    sample=SAMPLE,
    category="AI",
    # A repeated question costs tokens and changes nothing.
    idempotent=True,
    effect="read",
    timeout=120,
    synonyms=("llm", "chat", "local", "ollama", "vllm", "openrouter", "compatible", "prompt", "ai"),
    summary=lambda output: f"{output['usage'].get('total_tokens', 0)} tokens",
    tokens=tokens,
)
async def endpoint_completion(ctx: RunContext[EndpointInputs]) -> dict[str, Any]:
    """Ask a language model at any endpoint that answers like OpenAI's."""
    inputs = ctx.inputs
    url = f"{inputs.endpoint.rstrip('/')}/{PATH}"
    response = await ctx.http.post(url, json=inputs.payload(), idempotent=True)
    return completion(
        response.raise_for_status(),
        model=inputs.model,
        wants_data=inputs.output_schema is not None,
        longer="max_tokens",
    )
