"""What can be done in Asana."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator, model_validator

from integrations.providers.asana import asana
from integrations.providers.asana.client import call, data_of
from integrations.providers.asana.options import projects, workspaces
from integrations.sdk import RunContext, action, ui
from integrations.words import gettext as _

_GID: Final = r"^[0-9]{1,32}$"
_DAY: Final = 10


def _text(value: object) -> object:
    """An id that an expression gives as a number is taken as a text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _texts(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [_text(each) for each in value] if isinstance(value, list) else value


def _joined(value: object) -> object:
    """A list of ids, as an earlier step may give it, is taken as well as a text."""
    if isinstance(value, list) and all(isinstance(_text(each), str) for each in value):
        return ", ".join(map(str, value))
    return _text(value)


Gid = Annotated[str, BeforeValidator(_text)]
Person = Annotated[str, BeforeValidator(_text), Field(pattern=r"^(me|[0-9]{1,32}|[^\s@,;]+@[^\s@,;]+)$")]
People = Annotated[list[Person], BeforeValidator(_texts)]
Gids = Annotated[str, BeforeValidator(_joined)]


class CreateTaskInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=1024, title="Name", examples=["Call Ada back"])
    notes: str | None = Field(
        default=None,
        title="Description",
        description="Plain text.",
        examples=["She asks for a demonstration."],
        json_schema_extra=ui(format="textarea"),
    )
    workspace: Gid | None = Field(
        default=None,
        pattern=_GID,
        title="Workspace",
        description="Its id. Not needed with a project or a parent.",
        examples=["1200000000000001"],
    )
    project: Gid | None = Field(
        default=None, pattern=_GID, title="Project", description="Its id.", examples=["1200000000000042"]
    )
    assignee: Person | None = Field(
        default=None,
        title="Assignee",
        description="A mail address, an id, or “me”.",
        examples=["ada@example.com", "me"],
    )
    due: str | None = Field(
        default=None,
        title="Due",
        description="A day, or a time with its offset.",
        examples=["2026-05-04", "2026-05-04T17:00:00+02:00"],
    )
    followers: People = Field(
        default=[],
        max_length=100,
        title="Collaborators",
        description="Mail addresses or ids.",
        examples=[["bob@example.com"]],
        json_schema_extra=ui(advanced=True),
    )
    tags: Gids = Field(
        default="",
        pattern=r"^\s*([0-9]{1,32}(\s*,\s*[0-9]{1,32}){0,99})?\s*$",
        title="Tags",
        description="Their ids, separated by commas.",
        examples=["1200000000000099, 1200000000000100"],
        json_schema_extra=ui(advanced=True),
    )
    parent: Gid | None = Field(
        default=None,
        pattern=_GID,
        title="Parent",
        description="The id of a task that this one is part of.",
        examples=["1200000000000077"],
        json_schema_extra=ui(advanced=True),
    )
    custom_fields: dict[str, JsonValue] | None = Field(
        default=None,
        title="Custom fields",
        description="Values by the fields' ids; of a choice, the id of its option.",
        examples=[{"1200000000000123": "High"}],
        json_schema_extra=ui(format="json", advanced=True),
    )

    @field_validator("due")
    @classmethod
    def a_day_or_a_time(cls, due: str | None) -> str | None:
        if due is None:
            return None
        try:
            moment = datetime.fromisoformat(due.strip())
        except ValueError:
            raise ValueError(
                _("%(given)s is no day, like 2026-05-04, and no time") % {"given": repr(due[:40])}
            ) from None
        if len(due.strip()) == _DAY:
            return due.strip()
        if moment.tzinfo is None:
            raise ValueError(_("give the time its offset, as in 2026-05-04T17:00:00+02:00"))
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @model_validator(mode="after")
    def a_place(self) -> Self:
        if not (self.workspace or self.project or self.parent):
            raise ValueError(_("give a project, a parent or a workspace"))
        return self

    def payload(self) -> dict[str, Any]:
        """Return the task's data."""
        due = {"due_on" if len(self.due) == _DAY else "due_at": self.due} if self.due else {}
        tags = [each.strip() for each in self.tags.split(",") if each.strip()]
        given = self.model_dump(exclude={"project", "due"}) | due | {"tags": tags}
        named = {name: value for name, value in given.items() if value}
        return {**named, **({"projects": [self.project]} if self.project else {})}


class CreateTaskOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    gid: str = Field(title="Task id")
    name: str = Field(default="", title="Name")
    permalink_url: str = Field(default="", title="Address", description="Where a person reads it.")
    completed: bool = Field(default=False, title="Completed")


@action(
    provider=asana,
    key="asana.createTask",
    name="Create task",
    auth_type="oauth2",
    input_schema=CreateTaskInputs,
    output_schema=CreateTaskOutput,
    sample={
        "gid": "1200000000000128",
        "resource_type": "task",
        "name": "Call Ada back",
        "permalink_url": "https://app.asana.com/0/1200000000000042/1200000000000128",
        "completed": False,
    },
    idempotent=False,
    effect="create",
    options={"workspace": workspaces, "project": projects},
    synonyms=("todo", "ticket", "project", "assign", "new", "subtask"),
    summary=lambda output: f"task {output['gid']}",
)
async def create_task(ctx: RunContext[CreateTaskInputs]) -> dict[str, Any]:
    """Create a task in a project, as part of another task or in a workspace."""
    made = data_of(await call(ctx.http, "POST", "tasks", json={"data": ctx.inputs.payload()}))
    ctx.log(f"Created task {made['gid']}")
    return {"name": ctx.inputs.name, "permalink_url": "", "completed": False, **made}
