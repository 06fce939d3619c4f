"""``alert-channels/`` of the API: who hears when something breaks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.alerts import services
from orchestrator.alerts.kinds import ChannelKind, Event
from orchestrator.alerts.models import AlertChannel, AlertDelivery
from orchestrator.alerts.selectors import channel_list
from orchestrator.api.describing import ONCE, PAGED, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.views import TenantAPIView
from orchestrator.flow.definition import Text
from orchestrator.tenants.models import Scope
from orchestrator.tenants.permissions import require_operation

_WRITES: Final = dict.fromkeys(("POST", "PATCH", "DELETE"), Scope.ADMIN)


# What a PATCH takes is marked as such by drf-spectacular, on the class: a POST's must not be below it.
class _Channel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    is_on: bool = True
    events: list[Event] = Field(default_factory=lambda: list(Event))
    workflows: list[Text] | None = None
    quiet_minutes: int = 60
    emails: list[Text] = Field(default_factory=list, max_length=100)
    url: Text = ""
    credential: Text | None = None
    slack_channel: Text = ""


class AlertChannelUpdate(_Channel):
    """What is given is changed. ``workflows`` are ids, null for all; ``url`` is write-only.

    ``emails`` for mail, ``url`` for a webhook; for Slack ``url``, or ``credential`` (its name) and ``slack_channel``.
    """

    name: Text = Field(default="", max_length=100)


class AlertChannelCreate(_Channel):
    """A channel of a ``kind``, which stays; without ``events`` it tells of all."""

    kind: ChannelKind
    name: Text = Field(min_length=1, max_length=100)


class LastDelivery(BaseModel):
    """What became of the last message; ``error`` says why it did not arrive, is tried again, or was not sent."""

    status: AlertDelivery.Status
    error: str
    at: datetime


class AlertChannelBody(BaseModel):
    """``host`` is what is shown of a sealed address."""

    id: str
    kind: ChannelKind
    name: str
    is_on: bool
    events: list[Event]
    workflows: list[str] | None
    quiet_minutes: int
    emails: list[str]
    host: str
    credential: str | None
    slack_channel: str
    last_delivery: LastDelivery | None
    created_at: datetime
    updated_at: datetime


class AlertChannelCreated(AlertChannelBody):
    """``secret`` signs a webhook's messages (Standard Webhooks); it is answered once, else null."""

    secret: str | None


class AlertChannelPage(BaseModel):
    results: list[AlertChannelBody]
    next: str | None
    previous: str | None


class AlertChannelTested(BaseModel):
    """What came of a test message."""

    status: AlertDelivery.Status
    error: str


def _document(channel: Any) -> dict[str, Any]:
    last = None
    if channel.last_status:
        last = {"status": channel.last_status, "error": channel.last_error, "at": channel.last_at}
    return {
        "id": str(channel.pk),
        "kind": channel.kind,
        "name": channel.name,
        "is_on": channel.is_on,
        "events": [event.value for event in channel.heard],
        "workflows": None if channel.workflows is None else [str(pk) for pk in channel.workflows],
        "quiet_minutes": channel.quiet_minutes,
        "emails": channel.emails,
        "host": channel.host,
        "credential": channel.credential.name if channel.credential else None,
        "slack_channel": channel.slack_channel,
        "last_delivery": last,
        "created_at": channel.created_at,
        "updated_at": channel.updated_at,
    }


class _Channels(TenantAPIView):
    scopes: ClassVar = _WRITES

    def document(self, pk: int) -> dict[str, Any]:
        return _document(channel_list(self.tenant).get(pk=pk))


def _given(body: BaseModel) -> dict[str, Any]:
    """Return the keys that the request had."""
    given = body.model_dump(mode="json", exclude_unset=True)
    given.pop("kind", None)
    return given


class AlertChannelList(_Channels):
    @extend_schema(operation_id="alert_channels_list", parameters=[*PAGED], responses=AlertChannelPage)
    def get(self, request: Request) -> Response:
        """The tenant's alert channels, with what became of the last message of each."""
        require_operation(self.actor, "alert.read")
        return self.page(channel_list(self.tenant), _document)

    @extend_schema(
        operation_id="alert_channels_create",
        parameters=[ONCE],
        request=AlertChannelCreate,
        responses={201: AlertChannelCreated},
    )
    def post(self, request: Request) -> Response:
        """Make a channel; a webhook's signing secret is answered here and nowhere else."""
        body = parse_body(AlertChannelCreate, request.data)

        def make() -> Response:
            channel, secret = services.channel_create(actor=self.actor, kind=body.kind, values=_given(body))
            return Response({**self.document(channel.pk), "secret": secret or None}, status=201)

        return self.create(make)


class AlertChannelDetail(_Channels):
    @extend_schema(operation_id="alert_channels_retrieve", responses=AlertChannelBody)
    def get(self, request: Request, pk: str) -> Response:
        require_operation(self.actor, "alert.read")
        return Response(self.document(self.find(AlertChannel, pk).pk))

    @extend_schema(operation_id="alert_channels_update", request=AlertChannelUpdate, responses=AlertChannelBody)
    def patch(self, request: Request, pk: str) -> Response:
        """Change a channel's settings, those that are given."""
        channel = self.find(AlertChannel, pk)
        body = parse_body(AlertChannelUpdate, request.data)
        services.channel_update(actor=self.actor, channel=channel, changes=_given(body))
        return Response(self.document(channel.pk))

    @extend_schema(operation_id="alert_channels_delete", responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        """Delete a channel with the messages that are on their way to it."""
        services.channel_delete(actor=self.actor, channel=self.find(AlertChannel, pk))
        return Response(status=204)


class AlertChannelTest(_Channels):
    @extend_schema(operation_id="alert_channels_test", request=None, responses=AlertChannelTested)
    def post(self, request: Request, pk: str) -> Response:
        """Send a test message now; answers what came of it, within some 20 seconds."""
        delivery = services.channel_test(actor=self.actor, channel=self.find(AlertChannel, pk))
        return Response({"status": delivery.status, "error": delivery.error})
