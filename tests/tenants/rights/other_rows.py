"""Addresses of no tenant or found by a secret, and the administration: one line a route, or a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.tenants.models import Role
from tests.tenants.rights.rows import Least, Row, admin, open_to

EDITOR, ADMIN = Role.EDITOR, Role.ADMIN
ANYBODY, PERSON, SUPERUSER, NOBODY = Least.ANYBODY, Least.PERSON, Least.SUPERUSER, Least.NOBODY
_PING: Final = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

OPEN: Final[tuple[Row, ...]] = (
    open_to("", get=PERSON),
    open_to("healthz", get=ANYBODY),
    open_to("readyz", get=ANYBODY),
    # Of these, who is near: see tests/ops/test_metrics.py.
    open_to("metrics", get=ANYBODY),
    open_to("api/schema/", get=ANYBODY),
    open_to("api/docs/", get=ANYBODY),
    open_to("sign-in/", get=ANYBODY, post=ANYBODY),
    open_to("sign-in/code/", get=ANYBODY, post=ANYBODY),
    open_to("sign-out/", post=ANYBODY),
    open_to("theme/", post=ANYBODY, sent={"theme": "dark"}),
    open_to("join/<str:token>/", get=ANYBODY, post=ANYBODY),
    open_to("account/", get=PERSON),
    open_to("account/password/", post=PERSON),
    open_to("account/sessions/end/", post=PERSON),
    open_to("account/second-factor/", post=PERSON, sent={"do": "begin"}),
    open_to("account/sso/", post=PERSON),
    # Of a sign-in that nobody began, as it is of none: see tests/vault/test_sign_ins.py.
    open_to("oauth/callback/", get=PERSON, leads_on=True),
    open_to("oauth/callback/own/", get=PERSON, leads_on=True),
    open_to("oauth/done/", get=PERSON, leads_on=True),
    open_to("sso/", get=ANYBODY, post=ANYBODY),
    # Of a tenant without a provider, as it is of none: see tests/tenants/sso.
    open_to("sso/<slug:tenant>/", get=ANYBODY, leads_on=True),
    open_to("sso/<slug:tenant>/callback/", get=ANYBODY, leads_on=True),
    open_to("h/<str:token>", post=ANYBODY, of={"token": "hook_address"}),
    open_to("f/<str:token>", get=ANYBODY, post=ANYBODY, of={"token": "form_address"}),
    open_to(
        "a/<str:token>", get=ANYBODY, post=ANYBODY, sent={"decision": "approved"}, of={"token": "approval_address"}
    ),
    open_to("c/<str:token>", post=ANYBODY, of={"token": "callback_address"}),
    # By token alone, of any scope; what a tool needs is held in TOOLS.
    open_to("mcp", post=Role.VIEWER, sent=_PING),
)
# Tools of the MCP by name, with the least role, whose scope a token needs.
TOOLS: Final = {"get_run": Role.VIEWER, "greets": Role.OPERATOR, "acme_alone": Role.OPERATOR}

# What a model's object is called in the world, where that is not the model's name.
_OBJECT: Final = {"tenants.tenant": "tenant_id"}


def _model(
    name: str,
    *,
    look: Role | Least,
    add: Role | Least = NOBODY,
    change: Role | Least = NOBODY,
    delete: Role | Least = NOBODY,
    **buttons: Role,
) -> Iterator[Row]:
    """Yield the routes of a model: who may look, make, change and delete, and press which button."""
    label = name.replace(".", "/")
    one = f"{label}/<path:object_id>/"
    of = {"object_id": _OBJECT.get(name) or name.partition(".")[2]}
    yield admin(f"{label}/", get=look, post=look)
    yield admin(f"{label}/add/", get=add, post=add)
    yield admin(f"{one}change/", get=look, post=change, of=of)
    yield admin(f"{one}history/", get=look, of=of)
    yield admin(f"{one}delete/", get=delete, post=delete, sent={"post": "yes"}, of=of)
    yield admin(one, get=EDITOR, of=of, leads_on=True)
    for button, least in (buttons or {"none": NOBODY}).items():
        yield admin(
            f"{one}do/<slug:name>/", get=NOBODY, post=least, of={**of, "name": button.replace("_", "-")}, case=button
        )


ADMINISTRATION: Final[tuple[Row, ...]] = (
    admin("", get=EDITOR),
    admin("login/", get=ANYBODY),
    admin("logout/", post=ANYBODY),
    admin("password_change/", get=EDITOR, post=EDITOR),
    admin("password_change/done/", get=EDITOR),
    admin("autocomplete/", get=EDITOR, query="app_label=runs&model_name=run&field_name=workflow"),
    admin("jsi18n/", get=EDITOR),
    admin("^(?P<app_label>tenants|auth|vault|workflows|runs)/$", get=EDITOR, of={"app_label": "runs"}),
    admin("(?P<url>.*)$", get=NOBODY, of={"url": "nothing/"}),
    *_model("tenants.tenant", look=EDITOR, add=SUPERUSER, change=ADMIN),
    *_model("tenants.membership", look=EDITOR, add=ADMIN, change=ADMIN, delete=ADMIN),
    *_model("tenants.apitoken", look=EDITOR, add=EDITOR, delete=EDITOR),
    *_model("tenants.auditevent", look=ADMIN),
    *_model("vault.credential", look=EDITOR, add=EDITOR, change=EDITOR, delete=EDITOR, check=EDITOR),
    *_model(
        "workflows.workflow", look=EDITOR, add=EDITOR, change=EDITOR, delete=EDITOR,
        publish=EDITOR, enable=EDITOR, disable=EDITOR, run_now=EDITOR,
    ),
    *_model("workflows.workflowversion", look=EDITOR),
    *_model("runs.run", look=EDITOR, cancel=EDITOR, rerun=EDITOR),
    *_model("runs.savedview", look=EDITOR, delete=EDITOR),
    *(row for row in _model("auth.user", look=SUPERUSER, add=SUPERUSER, change=SUPERUSER) if "/do/" not in row.route),
)  # fmt: skip
