"""What there is to choose from at OpenAI."""

from __future__ import annotations

from typing import Final

from integrations.providers.openai.client import list_models
from integrations.sdk import Options, OptionsContext
from integrations.sdk.completions import models_listed

# OpenAI's list says of no model what it is for. What is left out here can still be typed.
_EMBEDS: Final = "embedding"
_NO_CHAT: Final = (
    _EMBEDS, "babbage", "dall-e", "davinci", "image", "instruct", "moderation", "realtime", "sora", "transcribe", "tts",
    "whisper",
)  # fmt: skip


async def chat_models(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the models that may answer a chat, the newest first."""
    response = await list_models(ctx.http)
    return models_listed(response, query, cursor, fits=lambda model: not any(word in model for word in _NO_CHAT))


async def embedding_models(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the models that make embeddings, the newest first."""
    return models_listed(await list_models(ctx.http), query, cursor, fits=lambda model: _EMBEDS in model)
