"""What can be asked of Gemini."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from integrations.providers.google_gemini import google_gemini
from integrations.providers.google_gemini.client import generate
from integrations.providers.google_gemini.options import models
from integrations.sdk import Permanent, RunContext, action, ui
from integrations.sdk.chat import (
    Data,
    Instructions,
    LongestAnswer,
    OutputSchema,
    Prompt,
    StopTexts,
    Temperature,
    Tokens,
    check_one_question,
    count,
    data_of,
)
from integrations.sdk.client import Response
from integrations.words import gettext as _


class Turn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "model"] = Field(title="Who speaks", examples=["user"])
    parts: list[dict[str, JsonValue]] = Field(min_length=1, title="Parts", examples=[[{"text": "Say hello."}]])


class GenerateContentInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: Prompt = Field(
        default=None, description="What you ask the model. For a whole conversation use Contents instead."
    )
    contents: list[Turn] | None = Field(
        default=None,
        min_length=1,
        title="Contents",
        description="A conversation, in place of a prompt. Its parts may be texts and pictures.",
        examples=[[{"role": "user", "parts": [{"text": "Say hello."}]}]],
        json_schema_extra=ui(advanced=True),
    )
    system: Instructions = None
    model: str = Field(
        default="gemini-2.5-flash",
        pattern=r"^(models/)?[A-Za-z0-9][A-Za-z0-9.\-]{0,99}$",
        title="Model",
        description="Any model that writes and that the key may use.",
        examples=["gemini-2.5-flash", "gemini-2.5-pro"],
    )
    temperature: Temperature = None
    max_output_tokens: LongestAnswer = Field(
        default=None, description="What the model thinks counts, too.", examples=[2000]
    )
    output_schema: OutputSchema = Field(
        default=None,
        description="A JSON schema. The answer is then in “data”.",
        examples=[{"type": "object", "properties": {"sentiment": {"type": "string"}}, "required": ["sentiment"]}],
    )
    stop_sequences: StopTexts = Field(default=None, max_length=5)

    @model_validator(mode="after")
    def one_question(self) -> Self:
        check_one_question(self.prompt, self.contents, "contents")
        return self

    def payload(self) -> dict[str, Any]:
        """Return the body of the request; what is not set is left to the model."""
        turns = [turn.model_dump(mode="json") for turn in self.contents or ()]
        body: dict[str, Any] = {"contents": turns or [{"role": "user", "parts": [{"text": self.prompt}]}]}
        if self.system:
            body["systemInstruction"] = {"parts": [{"text": self.system}]}
        config: dict[str, Any] = {
            "temperature": self.temperature,
            "maxOutputTokens": self.max_output_tokens,
            "stopSequences": self.stop_sequences,
        }
        if self.output_schema is not None:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": self.output_schema}
        given = {name: value for name, value in config.items() if value is not None}
        return body | ({"generationConfig": given} if given else {})


class GeminiUsage(BaseModel):
    model_config = ConfigDict(extra="allow")

    prompt_tokens: int = Field(default=0, alias="promptTokenCount", title="Tokens of the question")
    answer_tokens: int = Field(default=0, alias="candidatesTokenCount", title="Tokens of the answer")
    total_tokens: int = Field(default=0, alias="totalTokenCount", title="Tokens in all")


class GenerateContentOutput(BaseModel):
    text: str = Field(title="Answer")
    data: Data = None
    finish_reason: str | None = Field(default=None, title="Why it ended", description="STOP, MAX_TOKENS or SAFETY.")
    model: str = Field(title="Model")
    usage: GeminiUsage = Field(default_factory=GeminiUsage, title="Usage")
    candidates: list[dict[str, JsonValue]] = Field(title="Candidates", description="Google's own list of answers.")


def _tokens(output: Any) -> Tokens:
    """What the model thought is billed as its answer, and not among the answer's tokens."""
    usage = output.get("usage")
    return Tokens(
        model=str(output.get("model") or ""),
        input=count(usage, "promptTokenCount"),
        output=count(usage, "candidatesTokenCount") + count(usage, "thoughtsTokenCount"),
        cached=count(usage, "cachedContentTokenCount"),
    )


@action(
    provider=google_gemini,
    key="google_gemini.generateContent",
    name="Ask Gemini",
    auth_type="api_key",
    input_schema=GenerateContentInputs,
    output_schema=GenerateContentOutput,
    sample={
        "text": "Hello!",
        "data": None,
        "finish_reason": "STOP",
        "model": "gemini-2.5-flash",
        "usage": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "Hello!"}]}, "finishReason": "STOP", "index": 0}
        ],
    },
    # A repeated question costs tokens and changes nothing.
    idempotent=True,
    effect="read",
    timeout=120,
    options={"model": models},
    synonyms=("google", "chat", "llm", "prompt", "summarise", "classify", "write", "ai", "extract"),
    summary=lambda output: f"{output['usage'].get('totalTokenCount', 0)} tokens",
    tokens=_tokens,
)
async def generate_content(ctx: RunContext[GenerateContentInputs]) -> dict[str, Any]:
    """Ask a Gemini model and get its answer, as text or as data."""
    response = await generate(ctx.http, ctx.inputs.model, ctx.inputs.payload())
    answer = response.json_object()
    candidates = answer.get("candidates")
    feedback = answer.get("promptFeedback")
    if not candidates and isinstance(feedback, dict) and feedback.get("blockReason"):
        raise response.error(
            _("Gemini refused the question: %(blockreason)s") % {"blockreason": feedback["blockReason"]},
            hint=_("Ask in other words: Google's filters stopped the prompt."),
            kind=Permanent,
        )
    if not isinstance(candidates, list) or not candidates or not isinstance(candidates[0], dict):
        raise response.unexpected()
    text, ended = _text(candidates[0], response), candidates[0].get("finishReason")
    return {
        "text": text,
        "data": _data(response, text, ended) if ctx.inputs.output_schema is not None else None,
        "finish_reason": ended,
        "model": str(answer.get("modelVersion") or ctx.inputs.model),
        "usage": answer.get("usageMetadata") or {},
        "candidates": candidates,
    }


def _text(candidate: dict[str, Any], response: Response) -> str:
    """Return a candidate's text without its thoughts; one that was stopped may have no content at all."""
    content = candidate.get("content") or {}
    parts = content.get("parts") or [] if isinstance(content, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise response.unexpected()
    if not parts and "finishReason" not in candidate:
        raise response.unexpected()
    return "".join(str(part.get("text") or "") for part in parts if part.get("thought") is not True)


def _data(response: Response, text: str, ended: object) -> Any:
    return data_of(response, text, cut_short=ended == "MAX_TOKENS", longer="max_output_tokens")
