"""What happens on GitHub and starts workflows: a webhook of the repository, made and taken away as its workflow is.

Source: docs.github.com, the pages on webhook events and payloads, and on validating webhook deliveries. GitHub does not
send again by itself what was not taken; a person can, on the hook's page.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from integrations.providers.github import github
from integrations.providers.github.client import REPOSITORY, call, listed
from integrations.sdk import (
    InputError,
    Item,
    NotFound,
    Permanent,
    RunContext,
    Subscription,
    WebhookContext,
    WebhookReply,
    WebhookRequest,
    ui,
    webhook,
)
from integrations.words import gettext as _

PING: Final = "ping"
# GitHub takes twenty hooks of a repository for each event.
_PAGES: Final = 5


class NewEventInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    repository: str = Field(
        pattern=rf"^{REPOSITORY}$",
        title="Repository",
        description="Its owner and its name. The token has to be allowed to manage its webhooks.",
        examples=["octocat/hello-world"],
    )
    events: list[str] = Field(
        min_length=1,
        max_length=100,
        title="Events",
        description="Names of events, such as issues, pull_request, push, release or workflow_run; * for all.",
        examples=[["issues", "pull_request"]],
    )
    actions: list[str] = Field(
        default=[],
        max_length=100,
        title="Only these actions",
        description="Such as opened or closed. Events without an action, such as push, always start a run.",
        examples=[["opened"]],
        json_schema_extra=ui(advanced=True),
    )


class NewEventOutput(BaseModel):
    event: str = Field(title="Event", description="Such as issues.")
    action: str | None = Field(title="Action", description="What was done, such as opened; null where there is none.")
    delivery: str = Field(title="Delivery", description="GitHub's id of it.")
    payload: dict[str, JsonValue] = Field(title="Payload", description="All that GitHub tells of it.")


async def subscribe(ctx: RunContext[NewEventInputs], address: str, secret: str) -> Subscription:
    """Make a webhook that calls the address; one that calls it already is changed to say the same."""
    hooks = _hooks(ctx)
    wanted = {
        "active": True,
        "events": ctx.inputs.events,
        "config": {"url": address, "content_type": "json", "secret": secret, "insecure_ssl": "0"},
    }
    try:
        made = await call(ctx.http, "POST", hooks, json={"name": "web", **wanted})
    except Permanent as refused:
        # GitHub takes an address once: this is what it says, too, where its last answer was not heard of.
        known = None if isinstance(refused, NotFound) else await _found(ctx, address)
        if known is None:
            raise
        made = await call(ctx.http, "PATCH", f"{hooks}/{known}", json=wanted)
    number = made.json_object().get("id")
    if not isinstance(number, int):
        raise made.unexpected()
    return Subscription(id=str(number))


async def renew(ctx: RunContext[NewEventInputs], subscription: Subscription) -> Subscription:
    """Look whether the webhook is there, and switch it on where somebody switched it off."""
    path = f"{_hooks(ctx)}/{subscription.id}"
    there = (await call(ctx.http, "GET", path)).json_object()
    if there.get("active") is not True:
        await call(ctx.http, "PATCH", path, json={"active": True})
    return subscription


async def unsubscribe(ctx: RunContext[NewEventInputs], subscription: Subscription) -> None:
    """Take the webhook away; where its number is not known, the one that calls the address."""
    number = subscription.id or await _found(ctx, subscription.address)
    if number is not None:
        await call(ctx.http, "DELETE", f"{_hooks(ctx)}/{number}")


def _hooks(ctx: RunContext[NewEventInputs]) -> str:
    return f"repos/{ctx.inputs.repository}/hooks"


async def _found(ctx: RunContext[NewEventInputs], address: str) -> str | None:
    """Return the number of the webhook that calls an address, None where there is none."""
    page: int | None = 1
    for _page in range(_PAGES):
        if page is None:
            break
        rows, page = await listed(ctx.http, _hooks(ctx), page, has="id")
        for row in rows:
            config = row.get("config")
            if isinstance(config, dict) and config.get("url") == address:
                return str(row["id"])
    return None


def answer_ping(ctx: WebhookContext[NewEventInputs], request: WebhookRequest) -> WebhookReply | None:
    """Answer the request by which GitHub tries a new webhook."""
    if request.headers.get("x-github-event") != PING:
        return None
    return WebhookReply(body={"status": "ignored", "reason": "This was GitHub's ping. The webhook works."})


@webhook(
    provider=github,
    key="github.newEvent",
    name="New event",
    auth_type="bearer_token",
    input_schema=NewEventInputs,
    output_schema=NewEventOutput,
    sample={
        "event": "issues",
        "action": "opened",
        "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "payload": {
            "action": "opened",
            "issue": {
                "number": 1347,
                "title": "The export is empty",
                "html_url": "https://github.com/octocat/hello-world/issues/1347",
                "user": {"login": "octocat"},
            },
            "repository": {"full_name": "octocat/hello-world"},
            "sender": {"login": "octocat"},
        },
    },
    verify="github",
    handshake=answer_ping,
    subscribe=subscribe,
    renew=renew,
    unsubscribe=unsubscribe,
    synonyms=("push", "pull request", "issue", "release", "commit", "webhook"),
)
def new_event(ctx: WebhookContext[NewEventInputs], request: WebhookRequest) -> list[Item]:
    """Starts when something happens in a repository: an issue, a pull request, a push, a release."""
    payload: Any = request.json()
    event, delivery = (request.headers.get(name, "") for name in ("x-github-event", "x-github-delivery"))
    if not isinstance(payload, dict) or not event or not delivery:
        raise InputError(_("This is no delivery of GitHub's: it has no event, no id or no object."))
    action, events = payload.get("action"), ctx.inputs.events
    is_wanted = "*" in events or event in events
    if not is_wanted or (ctx.inputs.actions and isinstance(action, str) and action not in ctx.inputs.actions):
        return []
    return [Item(delivery, {"event": event, "action": action, "delivery": delivery, "payload": payload})]
