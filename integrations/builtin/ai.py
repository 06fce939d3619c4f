"""``ai.agent``: a language model that may use other steps as tools. The engine drives the conversation.

Its lane ``tools`` holds the tools: each is a step whose inputs the author fixed, and what is left is the model's to
fill in. Nothing here is called; what the engine needs to know of a provider's language is in ``runs.engine.dialects``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from integrations.builtin.flow import YEAR, engine_only
from integrations.sdk import Provider, RunContext, action, ui
from integrations.sdk.chat import SCHEMA_EXAMPLE, Data
from integrations.words import gettext as _
from integrations.words import ngettext
from orchestrator.flow.tools import AGENT, LANE

MOST_MODEL_CALLS: Final = 100
MOST_TOOL_CALLS: Final = 500
_ASKED: Final = {"approval": ("writes", "always")}

ai = Provider(
    key="ai",
    name="AI",
    description="Let a language model decide which steps to take.",
    icon="spark",
    category="AI",
    tile="ai",
    quality="silver",
)

_Name = Annotated[str, StringConstraints(min_length=1, max_length=150, strip_whitespace=True)]


class AgentInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    provider: Literal["openai", "anthropic", "endpoint"] = Field(
        "openai", title="Provider", examples=["openai"],
        description="Whose model it is, and whose credential the step takes: for an endpoint of one's own, with an API "
        "like OpenAI's, one for HTTP.",
        json_schema_extra=ui(
            words={"openai": "OpenAI", "anthropic": "Anthropic", "endpoint": "Any compatible endpoint"}
        ),
    )  # fmt: skip
    endpoint: str | None = Field(
        None, pattern=r"^https?://", max_length=2_000, title="Endpoint", examples=["https://models.example.com/v1"],
        description="The root of the API.",
        json_schema_extra=ui(format="uri", visible_if={"provider": ["endpoint"]}),
    )  # fmt: skip
    model: str = Field(
        min_length=1, max_length=200, title="Model", description="One that can use tools.",
        examples=["gpt-4o-mini", "claude-haiku-4-5"],
    )  # fmt: skip
    instructions: str = Field(
        "", max_length=100_000, title="Instructions", description="Who the model is, and how it should work.",
        examples=["You help customers. Look up the order before you answer."],
        json_schema_extra=ui(format="textarea"),
    )  # fmt: skip
    prompt: str = Field(
        min_length=1, max_length=500_000, title="Task", description="What it is to do this time.",
        examples=["Answer this mail: {{ trigger.body.text }}"], json_schema_extra=ui(format="textarea"),
    )  # fmt: skip
    output_schema: dict[str, JsonValue] | None = Field(
        None, title="Answer as JSON of this schema", examples=[SCHEMA_EXAMPLE],
        description="A JSON schema of an object. The answer is in “data” then; one that does not fit is sent back.",
        json_schema_extra=ui(format="json"),
    )  # fmt: skip
    approval: Literal["never", "writes", "always"] = Field(
        "never", title="Ask before a tool is used", examples=["writes"],
        description="A person approves or rejects the call; a rejection is told to the model.",
        json_schema_extra=ui(words={"never": "Never", "writes": "When it does more than read", "always": "Always"}),
    )  # fmt: skip
    approvers: list[_Name] = Field(
        [], max_length=100, title="Approvers", examples=[["ada", "admin"]],
        description="User names or roles: who answers must sign in then. Empty: the link is enough.",
        json_schema_extra=ui(visible_if=_ASKED),
    )  # fmt: skip
    approval_timeout: float | None = Field(
        None, gt=0, le=YEAR, title="Seconds for an answer", examples=[86_400],
        description="After it the call counts as rejected. Empty: it waits as long as it takes.",
        json_schema_extra=ui(advanced=True, visible_if=_ASKED),
    )  # fmt: skip
    max_model_calls: int = Field(20, ge=1, le=MOST_MODEL_CALLS, title="Questions to the model, at most", examples=[20])
    max_tool_calls: int = Field(
        50, ge=0, le=MOST_TOOL_CALLS, title="Uses of tools, at most", examples=[50]
    )  # fmt: skip
    max_tokens: int | None = Field(
        200_000, ge=1, le=1_000_000_000, title="Tokens, at most", examples=[200_000],
        description="Of all questions and answers together.",
    )  # fmt: skip
    max_cost: float | None = Field(
        None, gt=0, le=1_000_000, title="US dollars, at most", examples=[0.5],
        description="Takes a model whose price is known here.",
    )  # fmt: skip
    max_seconds: float | None = Field(
        600, gt=0, le=86_400, title="Seconds, at most", examples=[600],
        description="Of the model's and the tools' work. Waiting for an approval or another workflow does not count.",
    )  # fmt: skip
    on_budget: Literal["fail", "stop"] = Field(
        "fail", title="When a limit is reached", examples=["stop"],
        description="Where it ends with what it has, “stopped” says budget.",
        json_schema_extra=ui(words={"fail": "The step fails", "stop": "It ends with what it has"}),
    )  # fmt: skip
    max_answer_tokens: int = Field(
        4_096, ge=1, le=1_000_000, title="Tokens of one answer, at most", examples=[4_096],
        json_schema_extra=ui(advanced=True),
    )  # fmt: skip

    @model_validator(mode="after")
    def an_endpoint_where_one_is_needed(self) -> Self:
        if self.provider == "endpoint" and self.endpoint is None:
            raise ValueError(_("give the endpoint, or choose another provider"))
        return self


class AgentUsage(BaseModel):
    model_calls: int = Field(title="Questions to the model")
    tool_calls: int = Field(title="Uses of tools")
    input_tokens: int = Field(title="Tokens of the questions")
    output_tokens: int = Field(title="Tokens of the answers")
    cached_tokens: int = Field(title="Tokens of the questions that were cached")
    seconds: float = Field(title="Seconds of work")
    cost: float | None = Field(title="US dollars", description="Null where the model's price is not known.")


class AgentOutput(BaseModel):
    text: str = Field(title="Answer", description="What the model said last.")
    data: Data = None
    stopped: Literal["budget"] | None = Field(
        default=None, title="Stopped", description="budget where a limit was reached first, else null."
    )
    limit: str | None = Field(default=None, title="Limit", description="Which limit it was, like max_tokens.")
    usage: AgentUsage = Field(title="Used")


def _summary(output: dict[str, Any]) -> str:
    asked, used = output["usage"]["model_calls"], output["usage"]["tool_calls"]
    return _("%(questions)s, %(uses)s") % {
        "questions": ngettext("%(count)s question", "%(count)s questions", asked) % {"count": asked},
        "uses": ngettext("%(count)s use of a tool", "%(count)s uses of tools", used) % {"count": used},
    }


@action(
    provider=ai,
    key=AGENT,
    name="Agent",
    auth_type="none",
    accepted_auth=("api_key", "bearer_token", "oauth2", "basic"),
    # Whose it must be, and whether one is needed, depends on the input ``provider``: publish checks it.
    auth_required=False,
    any_provider=True,
    input_schema=AgentInputs,
    output_schema=AgentOutput,
    sample={
        "text": "Order 17 was sent on Monday.",
        "data": None,
        "stopped": None,
        "limit": None,
        "usage": {
            "model_calls": 2,
            "tool_calls": 1,
            "input_tokens": 812,
            "output_tokens": 61,
            "cached_tokens": 0,
            "seconds": 3.2,
            "cost": 0.000158,
        },
    },
    idempotent=True,
    pure=True,
    http=False,
    lanes=(LANE,),
    synonyms=("llm", "model", "tools", "assistant", "gpt", "claude", "decide", "function calling", "chat"),
    summary=_summary,
)
async def agent(ctx: RunContext[AgentInputs]) -> dict[str, Any]:
    """Have a language model work on a task with steps as its tools, within limits."""
    engine_only(AGENT)
