"""Pages: one line a route. Add yours where its neighbours are."""

from __future__ import annotations

from typing import Final

from orchestrator.tenants.models import Role
from tests.tenants.rights.rows import Row, page

VIEWER, OPERATOR, EDITOR, ADMIN, OWNER = Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN, Role.OWNER
_FLOW: Final = "workflows/<int:pk>/"
_STEP: Final = f"{_FLOW}steps/<key:key>/"
_TRIGGER: Final = f"{_FLOW}triggers/<key:key>/"
_RUN: Final = "runs/<int:pk>"
_CREDENTIAL: Final = "credentials/<int:pk>/"
_KEY: Final = "developers/keys/<int:pk>/revoke/"
_MEMBER: Final = "settings/members/<int:pk>/"
_CHANNEL: Final = "settings/alerts/<int:pk>/"
_DESCRIBED: Final = '{"openapi": "3.1.0", "paths": {"/a": {"get": {}}}}'
_LEAVE: Final = f"{_MEMBER}remove/"

PAGES: Final[tuple[Row, ...]] = (
    page("", get=VIEWER),
    page("search/", get=VIEWER, query="q=greet"),
    page("integrations/", get=VIEWER),
    page("integrations/<str:provider>/", get=VIEWER),
    page("integrations/<str:provider>/<str:action>/", get=VIEWER),
    page("developers/", get=VIEWER),
    page("developers/events/", get=VIEWER),
    page("developers/library/", get=VIEWER),
    page("developers/reference/", get=VIEWER),
    page("developers/reference.txt", get=VIEWER),
    page("developers/keys/", get=VIEWER, post=VIEWER, sent={"name": "Mine", "scope": "read", "lasts": "30"}),
    page(_KEY, post=VIEWER, of={"pk": "token@"}, case="one's own"),
    page(_KEY, post=ADMIN, of={"pk": "token"}, case="another's"),
    # Settings
    page("settings/", get=VIEWER, post=ADMIN, sent={"name": "Renamed", "time_zone": "UTC"}),
    page("settings/factor/", post=OWNER, sent={"required": "no"}),
    page("settings/members/", get=VIEWER),
    page(f"{_MEMBER}role/", post=ADMIN, sent={"role": "operator"}, case="a member's"),
    page(f"{_MEMBER}role/", post=ADMIN, sent={"role": "nonsense"}, case="a role that is none"),
    page(f"{_MEMBER}role/", post=OWNER, sent={"role": "owner"}, case="to owner"),
    page(f"{_MEMBER}role/", post=OWNER, sent={"role": "viewer"}, of={"pk": "owning"}, case="an owner's"),
    page(_LEAVE, post=ADMIN, case="a member"),
    page(_LEAVE, post=OWNER, of={"pk": "owning"}, case="an owner"),
    page(_LEAVE, post=VIEWER, of={"pk": "member@"}, case="oneself"),
    page(f"{_MEMBER}factor/", post=ADMIN),
    page("settings/invitations/", get=ADMIN, post=ADMIN, sent={"role": "viewer", "note": "new@acme.test"}),
    page("settings/invitations/", post=OWNER, sent={"role": "owner"}, case="an owner's"),
    page("settings/invitations/<int:pk>/revoke/", post=ADMIN),
    page("settings/audit/", get=ADMIN),
    page("settings/audit/export/", post=ADMIN, sent={"format": "csv"}),
    page("settings/sso/", get=ADMIN, post=OWNER),
    page("settings/sso/require/", post=OWNER),
    page("settings/sso/remove/", post=OWNER),
    page("settings/alerts/", get=VIEWER),
    page("settings/alerts/new/", get=ADMIN, post=ADMIN, query="kind=email", sent={"kind": "email", "name": "New"}),
    page(_CHANNEL, get=ADMIN, post=ADMIN, sent={"name": "Renamed"}),
    page(f"{_CHANNEL}test/", post=ADMIN),
    page(f"{_CHANNEL}secret/", post=ADMIN),
    page(f"{_CHANNEL}delete/", post=ADMIN),
    # Workflows
    page("workflows/", get=VIEWER),
    page("workflows/new/", post=EDITOR, sent={"trigger": "manual"}),
    page("workflows/import/", get=EDITOR, post=EDITOR, sent={"text": '{"name": "Taken in"}'}),
    page("workflows/examples/", post=EDITOR),
    page(_FLOW, get=VIEWER),
    page(f"{_FLOW}name/", post=EDITOR, sent={"name": "Renamed"}),
    page(f"{_FLOW}undo/", post=EDITOR),
    page(f"{_FLOW}redo/", post=EDITOR),
    page(f"{_FLOW}add/", get=EDITOR, post=EDITOR, sent={"action": "data.set"}),
    page(f"{_FLOW}data/", get=VIEWER),
    page(f"{_FLOW}data/choose/", post=EDITOR, sent={"use": "run-$run"}),
    page(f"{_FLOW}test/", post=EDITOR, sent={"payload": "{}"}),
    page(f"{_FLOW}test/requests/", get=EDITOR, post=EDITOR, sent={"use": "sample-$sample"}),
    page(f"{_FLOW}run/", post=OPERATOR),
    page(f"{_FLOW}settings/", get=VIEWER, post=EDITOR, sent={"name": "Renamed", "slug": "renamed"}),
    page(f"{_FLOW}file/", get=VIEWER),
    page(f"{_FLOW}file/replace/", get=EDITOR, post=EDITOR, sent={"text": '{"name": "Replaced"}'}),
    page(f"{_FLOW}publish/", get=EDITOR, post=EDITOR),
    page(f"{_FLOW}publish/undo/", post=EDITOR, sent={"number": "2"}),
    page(f"{_FLOW}versions/", get=VIEWER),
    page(f"{_FLOW}versions/<int:number>/", get=VIEWER),
    page(f"{_FLOW}versions/<int:number>/restore/", post=EDITOR),
    page(f"{_FLOW}versions/<int:number>/publish/", post=EDITOR),
    page(f"{_FLOW}versions/<int:older>...<int:newer>/", get=VIEWER),
    # Steps
    page(_STEP, get=VIEWER, post=EDITOR, sent={"name": "Renamed"}),
    page(f"{_STEP}move/", get=EDITOR, post=EDITOR, sent={"direction": "down"}),
    page(f"{_STEP}skip/", post=EDITOR),
    page(f"{_STEP}wrap/", post=EDITOR, sent={"items": "{{ trigger.body }}"}),
    page(f"{_STEP}duplicate/", post=EDITOR),
    page(f"{_STEP}remove/", post=EDITOR),
    page(f"{_STEP}extract/", get=EDITOR, post=EDITOR, sent={"lane": "a"}, of={"key": "several"}),
    page(f"{_STEP}lanes/", post=EDITOR, sent={"do": "add", "name": "c"}, of={"key": "several"}),
    page(f"{_STEP}openapi/", get=EDITOR, post=EDITOR, sent={"text": _DESCRIBED}, of={"key": "call"}),
    page(f"{_STEP}compare/", get=EDITOR, post=EDITOR, sent={"do": "add"}, of={"key": "tell"}),
    page(f"{_STEP}options/<str:field>/", get=EDITOR, post=EDITOR, sent={"value": "C1"}, of={"key": "tell"}),
    page(f"{_STEP}test/", post=EDITOR),
    # Triggers
    page(f"{_FLOW}triggers/", post=EDITOR, sent={"type": "manual"}),
    page(_TRIGGER, get=VIEWER, post=EDITOR, sent={"methods": "POST"}),
    page(f"{_TRIGGER}poll/", post=EDITOR, sent={"what": "sample"}, of={"key": "poll"}),
    page(f"{_TRIGGER}poll/", post=EDITOR, of={"key": "poll"}, case="at once"),
    page(f"{_TRIGGER}remove/", post=EDITOR),
    # Runs
    page("runs/", get=VIEWER),
    page("runs/bulk/", post=OPERATOR, sent={"do": "again", "run": "$ended"}),
    page("runs/export/", post=VIEWER, sent={"run": "$run"}),
    page("runs/views/", post=VIEWER, sent={"name": "Failures", "query": "status=failed"}),
    page("runs/views/<int:pk>/", post=VIEWER, sent={"name": "Renamed"}, of={"pk": "view@"}),
    page(f"{_RUN}/", get=VIEWER),
    page(f"{_RUN}.json", get=VIEWER),
    page(f"{_RUN}.txt", get=VIEWER),
    page(f"{_RUN}/changes/", get=VIEWER),
    page(f"{_RUN}/compare/", get=VIEWER),
    page(f"{_RUN}/compare/<int:other>/", get=VIEWER),
    page(f"{_RUN}/log/", get=VIEWER),
    page(f"{_RUN}/log.txt", get=VIEWER),
    page(f"{_RUN}/file/", get=VIEWER, query="step=first&value=output", of={"pk": "ended"}),
    page(f"{_RUN}/values/<int:ref>/", get=VIEWER),
    page(f"{_RUN}/again/", post=OPERATOR, of={"pk": "ended"}),
    page(f"{_RUN}/cancel/", post=OPERATOR),
    page(f"{_RUN}/resolve/", post=OPERATOR, sent={"path": "ok", "decision": "approved"}, of={"pk": "waiting"}),
    # Credentials
    page("credentials/", get=VIEWER),
    page("credentials/new/", get=EDITOR, post=EDITOR, sent={"provider": "slack", "name": "New"}),
    page(_CREDENTIAL, get=VIEWER),
    page(f"{_CREDENTIAL}edit/", post=EDITOR, sent={"name": "Renamed"}),
    page(f"{_CREDENTIAL}test/", post=EDITOR),
    page(f"{_CREDENTIAL}connect/", post=EDITOR),
    page(f"{_CREDENTIAL}replace/", post=EDITOR, sent={"by": "$spare"}),
    page(f"{_CREDENTIAL}delete/", post=EDITOR),
)
