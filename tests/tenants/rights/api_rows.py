"""Operations of the API: one line a route. ``scope`` where a token needs more than a session's role."""

from __future__ import annotations

from typing import Final

from orchestrator.tenants.models import Role, Scope
from tests.tenants.rights.rows import Row, api

VIEWER, OPERATOR, EDITOR, ADMIN, OWNER = Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN, Role.OWNER
_FLOW: Final = "workflows/<str:pk>/"
_RUN: Final = "runs/<str:pk>/"
_BEARER: Final = {"name": "new", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-2"}}
_CHANNEL: Final = {"kind": "email", "name": "New", "emails": ["new@example.com"]}
_ANSWER: Final = {"path": "ok", "decision": "approved"}

API: Final[tuple[Row, ...]] = (
    api("integrations/", get=VIEWER),
    api("integrations/<str:key>/", get=VIEWER, of={"key": "hello.world"}),
    api("workflows/", get=VIEWER, post=EDITOR, sent={"name": "New"}),
    api("workflows/import/", post=EDITOR, sent={"name": "Taken in"}),
    api(_FLOW, get=VIEWER, put=EDITOR, patch=EDITOR, delete=EDITOR, sent={"name": "Renamed"}),
    api(f"{_FLOW}export/", get=VIEWER),
    api(f"{_FLOW}publish/", post=EDITOR, sent={}),
    api(f"{_FLOW}publish/", post=EDITOR, sent={}, query="dry_run=1", case="only checked"),
    api(f"{_FLOW}enable/", post=EDITOR),
    api(f"{_FLOW}disable/", post=EDITOR),
    api(f"{_FLOW}versions/", get=VIEWER),
    api(f"{_FLOW}versions/diff/", get=VIEWER, query="from=1&to=2"),
    api(f"{_FLOW}versions/<int:number>/", get=VIEWER),
    api(f"{_FLOW}undo/", post=EDITOR),
    api(f"{_FLOW}redo/", post=EDITOR),
    api(f"{_FLOW}versions/<int:number>/restore/", post=EDITOR),
    api(f"{_FLOW}runs/", post=OPERATOR, sent={"payload": {}}),
    api(f"{_FLOW}runs/", post=EDITOR, sent={"payload": {}, "version": "draft"}, case="of the draft"),
    api(f"{_FLOW}steps/<str:key>/test/", post=EDITOR, sent={"payload": {}}),
    api("variables/", get=VIEWER, post=EDITOR, sent={"key": "new", "value": 1}),
    api("variables/<str:pk>/", get=VIEWER, patch=EDITOR, delete=EDITOR, sent={"value": 2}),
    api("triggers/", get=VIEWER),
    api("runs/", get=VIEWER),
    api("runs/bulk/", post=OPERATOR, sent={"action": "cancel", "filter": {}}, case="cancelled"),
    api("runs/bulk/", post=OPERATOR, sent={"action": "rerun", "filter": {"status": "failed"}}, case="run again"),
    api("runs/bulk/", post=EDITOR, sent={"action": "delete", "filter": {"status": "failed"}}, case="deleted"),
    api("runs/export/", get=VIEWER),
    api(_RUN, get=VIEWER),
    api(f"{_RUN}steps/", get=VIEWER),
    api(f"{_RUN}values/<int:ref>/", get=VIEWER),
    api(f"{_RUN}cancel/", post=OPERATOR),
    api(f"{_RUN}rerun/", post=OPERATOR, sent={}, of={"pk": "ended"}),
    api(f"{_RUN}rerun/", post=EDITOR, sent={"version": "draft"}, of={"pk": "ended"}, case="with the draft"),
    api(f"{_RUN}resolve/", post=OPERATOR, sent=_ANSWER, of={"pk": "waiting"}),
    api("credentials/", get=VIEWER, post=EDITOR, sent=_BEARER),
    api("credentials/<str:pk>/", get=VIEWER, patch=EDITOR, delete=EDITOR, sent={"name": "Renamed"}),
    api("credentials/<str:pk>/test/", post=EDITOR),
    api("credentials/<str:pk>/connect/", post=EDITOR),
    api("credential-types/", get=VIEWER),
    api("tokens/", get=VIEWER, post=VIEWER, sent={"name": "Mine"}, scope=Scope.ADMIN),
    api("tokens/<str:pk>/", delete=VIEWER, scope=Scope.ADMIN, of={"pk": "token@"}, case="one's own"),
    api("tokens/<str:pk>/", delete=ADMIN, case="another's"),
    api("members/", get=VIEWER, post=ADMIN, sent={"user": "$nobody", "role": "viewer"}),
    api("members/", post=OWNER, sent={"user": "$nobody", "role": "owner"}, case="an owner"),
    api("members/<str:pk>/", get=VIEWER, patch=ADMIN, delete=ADMIN, sent={"role": "viewer"}),
    api("members/<str:pk>/", patch=OWNER, delete=OWNER, sent={"role": "viewer"}, of={"pk": "owning"}, case="an owner"),
    # Only a person leaves: a token could take its owner's membership, and itself, away.
    api("members/<str:pk>/", delete=VIEWER, scope=Scope.ADMIN, of={"pk": "member@"}, case="oneself"),
    api("invitations/", get=ADMIN, post=ADMIN, sent={"role": "viewer"}),
    api("invitations/", post=OWNER, sent={"role": "owner"}, case="an owner's"),
    api("invitations/<str:pk>/", get=ADMIN, delete=ADMIN),
    api("audit/", get=ADMIN),
    api("audit/export/", get=ADMIN),
    api("alert-channels/", get=VIEWER, post=ADMIN, sent=_CHANNEL),
    api("alert-channels/<str:pk>/", get=VIEWER, patch=ADMIN, delete=ADMIN, sent={"name": "Renamed"}),
    api("alert-channels/<str:pk>/test/", post=ADMIN),
)
