"""What can be done on GitHub."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from integrations.providers.github import github
from integrations.providers.github.client import REPOSITORY, call
from integrations.providers.github.options import repositories
from integrations.sdk import RunContext, action, ui


class CreateIssueInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    repository: str = Field(
        pattern=rf"^{REPOSITORY}$",
        title="Repository",
        description="Its owner and its name.",
        examples=["octocat/hello-world"],
    )
    title: str = Field(min_length=1, max_length=256, title="Title", examples=["The export is empty"])
    body: str | None = Field(
        default=None,
        title="Text",
        description="Markdown.",
        examples=["Since this morning the export has no rows."],
        json_schema_extra=ui(format="textarea"),
    )
    labels: list[str] | None = Field(
        default=None, title="Labels", examples=[["bug"]], json_schema_extra=ui(advanced=True)
    )
    assignees: list[str] | None = Field(
        default=None,
        title="Assignees",
        description="Names of people who may work in the repository.",
        examples=[["octocat"]],
        json_schema_extra=ui(advanced=True),
    )
    milestone: int | None = Field(
        default=None,
        ge=1,
        title="Milestone",
        description="Its number.",
        examples=[1],
        json_schema_extra=ui(advanced=True),
    )


class CreateIssueOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int = Field(title="Id")
    number: int = Field(title="Number", description="Counts within the repository.")
    html_url: str = Field(title="Address", description="Where a person reads it.")
    title: str = Field(title="Title")
    state: str = Field(title="State")


@action(
    provider=github,
    key="github.createIssue",
    scopes=("repo|public_repo",),
    name="Create issue",
    auth_type="bearer_token",
    input_schema=CreateIssueInputs,
    output_schema=CreateIssueOutput,
    sample={
        "id": 1,
        "number": 1347,
        "html_url": "https://github.com/octocat/hello-world/issues/1347",
        "title": "The export is empty",
        "state": "open",
    },
    idempotent=False,
    effect="create",
    options={"repository": repositories},
    synonyms=("bug", "ticket", "report", "open", "new"),
    summary=lambda output: f"#{output['number']}",
)
async def create_issue(ctx: RunContext[CreateIssueInputs]) -> dict[str, Any]:
    """Open an issue in a repository."""
    given = ctx.inputs.model_dump(exclude_none=True, exclude={"repository"})
    response = await call(ctx.http, "POST", f"repos/{ctx.inputs.repository}/issues", json=given)
    answer = response.json_object()
    if not isinstance(answer.get("number"), int) or not isinstance(answer.get("html_url"), str):
        raise response.unexpected()
    ctx.log(f"Opened #{answer['number']}")
    return answer
