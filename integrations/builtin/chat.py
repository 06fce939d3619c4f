"""``http.chatCompletion``: a language model at any endpoint that understands OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from integrations.builtin.http import http
from integrations.sdk import InputError, Options, OptionsContext, RunContext, action, ui
from integrations.sdk.chat import LongestAnswer
from integrations.sdk.completions import (
    MODELS_PATH,
    PATH,
    SAMPLE,
    ChatCompletionOutput,
    Question,
    completion,
    models_listed,
    tokens,
)
from integrations.words import gettext as _


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


async def models(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the models that the endpoint names, the newest first."""
    endpoint = ctx.inputs.get("endpoint")
    if not isinstance(endpoint, str) or not endpoint.startswith(("http://", "https://")) or "{{" in endpoint:
        raise InputError(
            _("which endpoint to ask is not known before a run."),
            field="endpoint",
            hint=_("Fill in the endpoint, as an address without an expression."),
        )
    response = await ctx.http.get(f"{endpoint.rstrip('/')}/{MODELS_PATH}")
    return models_listed(response.raise_for_status(), query, cursor)


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
    options={"model": models},
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
