"""What can be asked of OpenAI."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.providers.openai import openai
from integrations.providers.openai.client import chat, embed
from integrations.providers.openai.options import chat_models, embedding_models
from integrations.sdk import RunContext, action, ui
from integrations.sdk.chat import LongestAnswer
from integrations.sdk.completions import SAMPLE, ChatCompletionOutput, Question, Usage, completion, tokens
from integrations.words import gettext as _


class ChatCompletionInputs(Question):
    model: str = Field(
        default="gpt-4o-mini",
        min_length=1,
        title="Model",
        description="Any chat model that your account may use.",
        examples=["gpt-4o-mini", "gpt-4o"],
    )
    max_completion_tokens: LongestAnswer = None

    def payload(self) -> dict[str, Any]:
        """Return the body of the request; what is not set is left to the model."""
        own = self.model_dump(exclude_none=True, include={"model", "max_completion_tokens"}, mode="json")
        return own | self.question()


@action(
    provider=openai,
    key="openai.chatCompletion",
    name="Ask a model",
    auth_type="api_key",
    input_schema=ChatCompletionInputs,
    output_schema=ChatCompletionOutput,
    sample=SAMPLE,
    # A repeated question costs tokens and changes nothing.
    idempotent=True,
    effect="read",
    timeout=120,
    options={"model": chat_models},
    synonyms=("gpt", "chat", "llm", "prompt", "summarise", "classify", "write", "ai"),
    summary=lambda output: f"{output['usage'].get('total_tokens', 0)} tokens",
    tokens=tokens,
)
async def chat_completion(ctx: RunContext[ChatCompletionInputs]) -> dict[str, Any]:
    """Ask a language model and get its answer, as text, as data or as a call of a tool."""
    return completion(
        await chat(ctx.http, ctx.inputs.payload()),
        model=ctx.inputs.model,
        wants_data=ctx.inputs.output_schema is not None,
        longer="max_completion_tokens",
    )


class CreateEmbeddingInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(
        default=None,
        min_length=1,
        title="Text",
        description="At most 8,192 tokens, about 30,000 characters of English.",
        examples=["The parcel came late and was wet."],
        json_schema_extra=ui(format="textarea"),
    )
    texts: list[Annotated[str, Field(min_length=1)]] | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        title="Or several texts",
        description="In place of one: 2,048 at most, each answered with a vector of its own.",
        examples=[["The parcel came late.", "All is well."]],
        json_schema_extra=ui(advanced=True),
    )
    model: str = Field(
        default="text-embedding-3-small",
        min_length=1,
        title="Model",
        description="Vectors can be compared with those of the same model alone.",
        examples=["text-embedding-3-small", "text-embedding-3-large"],
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        title="Length of the vectors",
        description="Shorter ones take less room and are less exact. Only models from text-embedding-3 on.",
        examples=[256],
        json_schema_extra=ui(advanced=True),
    )

    @model_validator(mode="after")
    def one_or_several(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError(_("give either a text or several texts, and not both"))
        return self

    def payload(self) -> dict[str, Any]:
        """Return the body of the request; the vectors come as numbers, not packed."""
        body = {"model": self.model, "input": self.texts or self.text, "encoding_format": "float"}
        return body | ({"dimensions": self.dimensions} if self.dimensions else {})


class CreateEmbeddingOutput(BaseModel):
    embedding: list[float] = Field(title="Vector", description="Of the first text.")
    embeddings: list[list[float]] = Field(title="Vectors", description="One a text, in the order of the texts.")
    model: str = Field(title="Model")
    usage: Usage = Field(default_factory=Usage, title="Usage")


@action(
    provider=openai,
    key="openai.createEmbedding",
    name="Make an embedding",
    auth_type="api_key",
    input_schema=CreateEmbeddingInputs,
    output_schema=CreateEmbeddingOutput,
    sample={
        "embedding": [0.0023064255, -0.009327292, -0.0028842222],
        "embeddings": [[0.0023064255, -0.009327292, -0.0028842222]],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    },
    idempotent=True,
    effect="read",
    timeout=120,
    options={"model": embedding_models},
    synonyms=("vector", "semantic", "search", "similar", "meaning", "rag", "ai"),
    summary=lambda output: f"{len(output['embeddings'])} of {len(output['embedding'])} numbers",
    tokens=tokens,
)
async def create_embedding(ctx: RunContext[CreateEmbeddingInputs]) -> dict[str, Any]:
    """Turn texts into vectors that lie close together where the texts mean alike."""
    response = await embed(ctx.http, ctx.inputs.payload())
    answer = response.json_object()
    asked = len(ctx.inputs.texts or (ctx.inputs.text,))
    vectors = _vectors(answer.get("data"))
    if vectors is None or len(vectors) != asked:
        raise response.unexpected()
    return {
        "embedding": vectors[0],
        "embeddings": vectors,
        "model": str(answer.get("model") or ctx.inputs.model),
        "usage": answer.get("usage") or {},
    }


def _vectors(rows: object) -> list[list[float]] | None:
    """Return the vectors in the order of their texts, None where the rows are of another form."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    places, vectors = [row.get("index") for row in rows], [row.get("embedding") for row in rows]
    if sorted(place for place in places if isinstance(place, int)) != list(range(len(rows))):
        return None
    if not all(isinstance(vector, list) and vector for vector in vectors):
        return None
    return [vector for _place, vector in sorted(zip(places, vectors, strict=True), key=lambda pair: pair[0])]
