"""What can be done in WordPress."""

from __future__ import annotations

import html
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from integrations.providers.wordpress import wordpress
from integrations.providers.wordpress.client import call
from integrations.providers.wordpress.terms import CATEGORIES, TAGS, ids_of
from integrations.sdk import RunContext, action, ui
from integrations.words import gettext as _

# Each that is given by name takes a request or two.
MAX_TERMS: Final = 20


def _names(value: object) -> object:
    """Ids are taken as numbers, too, and several names in a text are parted by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return [str(each) if isinstance(each, int) and not isinstance(each, bool) else each for each in value]
    return [str(value)] if isinstance(value, int) and not isinstance(value, bool) else value


Terms = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], BeforeValidator(_names)]


class CreatePostInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(default="", max_length=1000, title="Title", examples=["We have moved"])
    content: str = Field(
        default="",
        title="Content",
        description="HTML, or blocks as the editor writes them.",
        examples=["<p>Since Monday you find us in Rue de la Paix.</p>"],
        json_schema_extra=ui(format="html"),
    )
    status: Literal["draft", "publish", "pending", "private", "future"] = Field(
        default="draft",
        title="Status",
        description="To be scheduled it needs a date.",
        examples=["publish"],
        json_schema_extra=ui(
            words={
                "draft": "Draft",
                "publish": "Published",
                "pending": "Waits for an editor",
                "private": "Private",
                "future": "Scheduled",
            }
        ),
    )
    categories: Terms = Field(
        default=[], max_length=MAX_TERMS, title="Categories", description="By name or id.", examples=[["News"]]
    )
    tags: Terms = Field(
        default=[],
        max_length=MAX_TERMS,
        title="Tags",
        description="By name or id. Names that are new are made.",
        examples=[["office", "paris"]],
    )
    featured_media: int | None = Field(
        default=None,
        ge=1,
        title="Picture",
        description="The id of one in the media library.",
        examples=[847],
        json_schema_extra=ui(advanced=True),
    )
    slug: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        title="Last part of the address",
        description="Made of the title if left out.",
        examples=["we-have-moved"],
        json_schema_extra=ui(advanced=True),
    )
    excerpt: str | None = Field(
        default=None,
        title="Excerpt",
        examples=["Our new office"],
        json_schema_extra=ui(format="textarea", advanced=True),
    )
    date: str | None = Field(
        default=None,
        title="Date",
        description="When it is, or will be, published; without an offset in the site's time.",
        examples=["2026-05-04T09:30:00", "2026-05-04T07:30:00Z"],
        json_schema_extra=ui(advanced=True),
    )

    @field_validator("date")
    @classmethod
    def a_time(cls, date: str | None) -> str | None:
        if date is None:
            return None
        try:
            return datetime.fromisoformat(date.strip()).isoformat()
        except ValueError:
            raise ValueError(_("%(given)s is no time, like 2026-05-04T09:30:00") % {"given": repr(date[:40])}) from None

    @model_validator(mode="after")
    def something_to_post(self) -> Self:
        if not self.title.strip() and not self.content.strip():
            raise ValueError(_("give the post a title or a content"))
        if self.status == "future" and not self.date:
            raise ValueError(_("a post of the status future needs the date when it is to be published"))
        return self

    def payload(self, categories: list[int], tags: list[int]) -> dict[str, Any]:
        """Return the body of the request."""
        given = self.model_dump(exclude={CATEGORIES, TAGS}) | {CATEGORIES: categories, TAGS: tags}
        return {name: value for name, value in given.items() if value}


class CreatePostOutput(BaseModel):
    id: int = Field(title="Post id")
    link: str = Field(title="Address", description="Where it is, or will be, read.")
    status: str = Field(title="Status")
    slug: str = Field(title="Last part of the address", description="Empty for a draft without one.")
    title: str = Field(title="Title")
    date: str | None = Field(default=None, title="Date", description="In the site's time.")
    categories: list[int] = Field(default=[], title="Ids of categories")
    tags: list[int] = Field(default=[], title="Ids of tags")


@action(
    provider=wordpress,
    key="wordpress.createPost",
    name="Create post",
    auth_type="basic",
    input_schema=CreatePostInputs,
    output_schema=CreatePostOutput,
    sample={
        "id": 128,
        "link": "https://example.com/we-have-moved/",
        "status": "publish",
        "slug": "we-have-moved",
        "title": "We have moved",
        "date": "2026-05-04T09:30:00",
        "categories": [5],
        "tags": [12, 18],
    },
    idempotent=False,
    effect="create",
    synonyms=("blog", "article", "publish", "page", "write", "draft", "cms"),
    summary=lambda output: f"{output['status']}, post {output['id']}",
)
async def create_post(ctx: RunContext[CreatePostInputs]) -> dict[str, Any]:
    """Write a post, as a draft or published, with categories and tags."""
    inputs = ctx.inputs
    categories = await ids_of(ctx.http, CATEGORIES, inputs.categories)
    tags = await ids_of(ctx.http, TAGS, inputs.tags)
    response = await call(ctx.http, "POST", "posts", json=inputs.payload(categories, tags))
    post = response.json_object()
    if not isinstance(post.get("id"), int) or not isinstance(post.get("status"), str):
        raise response.unexpected()
    ctx.log(f"Made post {post['id']}: {post['status']}")
    title = post.get("title")
    return {
        "id": post["id"],
        "link": str(post.get("link") or ""),
        "status": post["status"],
        "slug": str(post.get("slug") or ""),
        "title": html.unescape(str(title.get("rendered") or "")) if isinstance(title, dict) else inputs.title,
        "date": str(post["date"]) if post.get("date") else None,
        "categories": _numbers(post.get("categories"), categories),
        "tags": _numbers(post.get("tags"), tags),
    }


def _numbers(answered: object, sent: list[int]) -> list[int]:
    return [each for each in answered if isinstance(each, int)] if isinstance(answered, list) else sent
