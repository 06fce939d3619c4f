"""A step's call beside the same as an HTTP step: both requests, unsent, and what each was answered when it was sent.

1. To look at the page sends nothing: what the action would send is found out without that, and read as an HTTP step.
2. Each button sends one of the two once, as a test of this step; a form that is sent twice is answered once. What may
   change something is asked about first.
3. The HTTP step is not in the draft until somebody puts it there, and then it is left out of runs: both would act.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from integrations.registry import http_options, registry
from integrations.sdk import Action, AuthError
from integrations.sdk.client import SAFE_METHODS
from integrations.sdk.egress import host_is_listed
from integrations.sdk.holding import HeldRequest
from orchestrator.builder.agents import agent_of, takes
from orchestrator.builder.as_http import AsHTTP, as_http
from orchestrator.builder.board import Board, board_of
from orchestrator.builder.http_answers import Answer, Answers, answers_of, stopped
from orchestrator.builder.readable import fit
from orchestrator.builder.shown_requests import Shown, held_shown, step_shown
from orchestrator.builder.spoken import words_of
from orchestrator.builder.step_facts import HTTP_ACTION, comparable, fingerprint, input_schema
from orchestrator.builder.testing import has_ended, missing_before, read_by, under_way
from orchestrator.builder.unsent import Unsent, unsent
from orchestrator.errors import Conflict, NotFound, ServiceError
from orchestrator.flow.definition import RetryPolicy, StepConfig, StepDefinition
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page, private
from orchestrator.vault.services import ResolvedCredential
from orchestrator.workflows.copies import step_paste
from orchestrator.workflows.rows import free_key
from runs import services
from runs.models import Run
from runs.states import StepStatus

POLL_MS: Final = 1_000
_ONCE: Final = re.compile(r"[0-9a-f]{64}")
_MAX_NAME: Final = 60
_SENT: Final = frozenset({StepStatus.RUNNING, StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.LOST})
_SENDING: Final = ("create", "update", "delete")
# Not even what is safe to repeat is sent again by itself.
_ONE_TRY: Final = {"retry": RetryPolicy.model_validate({"max_attempts": 1}), "on_lost": "fail"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What would be sent, either way. ``variant`` is the HTTP step, and ``needed`` the credential that it lacks."""

    found: Unsent
    http: AsHTTP | None = None
    variant: StepDefinition | None = None
    needed: str = ""
    missing: str = ""
    acts: bool = False

    @property
    def may_send(self) -> bool:
        return self.found.request is not None and not self.missing

    @property
    def may_send_http(self) -> bool:
        return self.may_send and self.http is not None and self.http.is_whole and not self.needed


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two on the page; ``do`` is what its button sends, empty where there is none, ``asks`` what it says.

    ``once`` is of its form alone: whoever sends that twice sends one request.
    """

    name: str
    shown: Shown | None
    notes: tuple[str, ...]
    do: str
    press: str
    asks: str
    is_asked: bool
    once: str


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def step_compare(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Show both requests of a step, send one of them, or put the HTTP step into the draft."""
    board = board_of(request, actor, pk)
    step, action = _found(board, key)
    if request.method == "POST":
        return _posted(board, step, action)
    testing = under_way(board)
    if is_fragment(request) and testing is not None:
        return private(HttpResponse(status=204))
    pair = _pair(board, step, action)
    answers = answers_of(board, step, pair.variant)
    context: dict[str, Any] = {
        "answers": answers,
        "testing": testing,
        "stopped": stopped(board),
        "poll_url": f"{_url(board, step)}?{urlencode({'testing': testing.pk})}" if testing else "",
        "poll_ms": POLL_MS,
    }
    if is_fragment(request):
        return fragment(request, actor, "builder/_http_answers.html", context)
    context |= {
        "workflow": board.workflow,
        "title": board.title(step),
        "url": _url(board, step),
        "back_url": board.url("workflow-step", step.key),
        "pair": pair,
        "sides": _sides(board, step, action, pair, answers),
        "seen": _seen(board, step),
    }
    return page(request, actor, "builder/http_compare.html", context, nav="workflow-list", narrow=True)


def _found(board: Board, key: str) -> tuple[StepDefinition, Action]:
    """Return a step and its action, whose calls are requests. Raises NotFound."""
    step = board.by_key.get(key)
    action = registry.get(step.action) if step else None
    if step is None or action is None or not comparable(action) or agent_of(board.definition.steps, key) is not None:
        raise NotFound(_("There is no step of that key whose call can be compared with HTTP."))
    return step, action


def _url(board: Board, step: StepDefinition) -> str:
    return board.url("workflow-step-compare", step.key)


def _pair(board: Board, step: StepDefinition, action: Action) -> Pair:
    """Find out what both would send."""
    found = unsent(board, step, action)
    held, missing = found.request, missing_before(board, step)
    if held is None:
        return Pair(found=found, missing=missing)
    http = as_http(held, found)
    needed = _needed(held, found.credential)
    name = found.credential.name if found.credential and held.is_signed and not needed else None
    acts = not found.reads and (action.effect in _SENDING or held.method not in SAFE_METHODS)
    return Pair(
        found=found,
        http=http,
        variant=_variant(board, step, action, http, name),
        needed=needed,
        missing=missing,
        acts=acts,
    )


def _variant(
    board: Board, step: StepDefinition, action: Action, http: AsHTTP, credential: str | None
) -> StepDefinition:
    """Return the HTTP step in the place of a step: under a key of its own, so that its tests are none of that."""
    name = _("%(name)s, over HTTP") % {"name": board.title(step)}
    config = {**step.config.model_dump(mode="json"), "timeout": step.config.timeout or action.timeout}
    return StepDefinition(
        key=free_key(f"{step.key[:50]}_http", set(board.by_key)),
        name=name[:200],
        action=HTTP_ACTION,
        credential=credential,
        config=StepConfig.model_validate({**config, "inputs": http.inputs}),
    )


def _needed(held: HeldRequest, credential: ResolvedCredential | None) -> str:
    """Return which credential an HTTP step would need in place of one that it cannot use, in words."""
    http = registry.get(HTTP_ACTION)
    if credential is None or not held.is_signed or http is None:
        return ""
    if takes(http, credential.provider) and credential.auth_type in http.accepted_auth:
        try:
            hosts = http_options(http, credential.auth, credential.settings, settings.ENV.base_urls)["auth_hosts"]
        except AuthError:
            hosts = ()
        if hosts is None or host_is_listed(held.url, hosts):
            return ""
    places = ", ".join((*held.added_headers, *held.added_query)) or _("the path")
    return _(
        "An HTTP step does not send “%(credential)s” to %(host)s: it would need a credential of HTTP that goes there "
        "as %(places)s."
    ) % {"credential": credential.name, "host": held.url.host, "places": places}


def _sides(
    board: Board, step: StepDefinition, action: Action, pair: Pair, answers: Answers
) -> tuple[Side, Side] | tuple[()]:
    held, http, variant = pair.found.request, pair.http, pair.variant
    if held is None or http is None or variant is None:
        return ()
    asked = board.request.GET.get("ask", "")
    http_acts = pair.acts and held.method not in SAFE_METHODS
    return (
        Side(
            name=_("%(action)s, the action") % {"action": words_of(action).name},
            shown=held_shown(held, pair.found),
            notes=tuple(_action_notes(pair, held)),
            do="action" if pair.may_send else "",
            press=_("Send the action's request"),
            asks=_asks(board, step, pair.acts, _was_sent(answers.action), _was_sent(answers.http)),
            is_asked=asked == "action",
            once=secrets.token_hex(32),
        ),
        Side(
            name=_("The same as an HTTP step"),
            shown=step_shown(http.inputs, held, variant.credential or ""),
            notes=tuple(_http_notes(action, pair, http)),
            do="http" if pair.may_send_http else "",
            press=_("Send the HTTP request"),
            asks=_asks(board, step, http_acts, _was_sent(answers.http), _was_sent(answers.action)),
            is_asked=asked == "http",
            once=secrets.token_hex(32),
        ),
    )


def _was_sent(answer: Answer | None) -> bool:
    """Whether the request that is shown was sent before, as far as the last test tells."""
    return answer is not None and not answer.is_old and answer.status in _SENT


def _asks(board: Board, step: StepDefinition, acts: bool, is_sent: bool, other_is_sent: bool) -> str:
    """Return what is asked before a request that may change something, empty where it only reads."""
    if not acts:
        return ""
    said = _("This really does it: %(what)s.") % {"what": board.title(step)}
    if is_sent:
        return f"{said} " + _("It was sent before: this does it again.")
    if other_is_sent:
        return f"{said} " + _("The other request was sent before: this does it a second time.")
    return f"{said} " + _("Both buttons together do it twice.")


def _action_notes(pair: Pair, held: HeldRequest) -> Iterator[str]:
    if held.method in SAFE_METHODS and pair.acts:
        yield _("This is its first request, which only asks: what it changes comes in a further one, by the answer.")
    else:
        yield _("This is its first request. Whether it sends more depends on the answer.")


def _http_notes(action: Action, pair: Pair, http: AsHTTP) -> Iterator[str]:
    if http.kept:
        yield _("It has the step's own expressions for: %(names)s.") % {"names": _labels(action, http.kept)}
    if frozen := [each.name for each in pair.found.written if each.name not in http.kept]:
        names = _labels(action, dict.fromkeys(frozen))
        yield _("Written as the data is now, where the step has expressions: %(names)s.") % {"names": names}
    if http.is_whole:
        yield _("What else the headers of the action's request say, an HTTP step adds by itself.")
    if http.left_out:
        said = _("Left out, as it holds a secret, which is never written into a step: %(names)s.")
        yield said % {"names": ", ".join(fit(name, _MAX_NAME) for name in http.left_out[:20])}
    if http.is_large:
        yield _("The body is too large to be written into a step: take it from an earlier step by an expression.")
    if pair.needed:
        yield pair.needed
    if not pair.may_send_http and pair.may_send:
        yield _("So it cannot be sent from here. Add it as a step, and complete it there.")


def _labels(action: Action, names: Any) -> str:
    parts = input_schema(action).get("properties", {})
    return ", ".join(str(parts.get(name, {}).get("title") or name) for name in names)


def _seen(board: Board, step: StepDefinition) -> str:
    """Return what tells apart what a page shows of a step from what it would be later: the step and its data.

    Not what it evaluates to: the time of day is another one at each look.
    """
    trigger, outputs = board.samples
    runs = {key: outputs[key]["run"] for key in sorted(read_by(step)) if key in outputs}
    text = json.dumps([fingerprint(step), trigger, runs], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _posted(board: Board, step: StepDefinition, action: Action) -> HttpResponse:
    post, url = board.request.POST, _url(board, step)
    once = post.get("once", "")
    if post.get("do") == "add":
        return _add(board, step, action)
    if post.get("do") not in ("action", "http") or not _ONCE.fullmatch(once):
        messages.error(board.request, _("Nothing was sent: the form did not come whole. Press its button again."))
        return redirect(url)
    first = Run.objects.for_tenant(board.tenant).filter(workflow=board.workflow, dedupe_key=f"compare:{once}").first()
    if first is not None:
        return _there(url, first)
    if post.get("seen") != _seen(board, step):
        said = _("Nothing was sent: the step or its data has changed meanwhile. Look at it, and press again.")
        messages.error(board.request, said)
        return redirect(url)
    return _send(board, step, _pair(board, step, action), once, is_http=post.get("do") == "http")


def _send(board: Board, step: StepDefinition, pair: Pair, once: str, *, is_http: bool) -> HttpResponse:
    """Send one of the two once, after it was asked about where it may change something."""
    url, held = _url(board, step), pair.found.request
    if held is None or pair.variant is None or not (pair.may_send_http if is_http else pair.may_send):
        why = pair.found.why or pair.missing or _("as it stands, it lacks something.")
        messages.error(board.request, _("Nothing was sent: %(why)s") % {"why": why})
        return redirect(url)
    acts = pair.acts and not (is_http and held.method in SAFE_METHODS)
    if acts and board.request.POST.get("sure") != "1":
        return redirect(f"{url}?{urlencode({'ask': 'http' if is_http else 'action'})}")
    sent = pair.variant if is_http else step
    sent = sent.model_copy(update={"config": sent.config.model_copy(update=_ONE_TRY)})
    try:
        run = services.step_test(
            actor=board.actor, workflow=board.workflow, key=step.key, instead=sent, dedupe_key=f"compare:{once}"
        )
    except ServiceError as error:
        messages.error(board.request, _("Nothing was sent: %(why)s") % {"why": error.message})
        return redirect(url)
    has_ended(run)
    return _there(url, run)


def _there(url: str, run: Run) -> HttpResponse:
    return redirect(f"{url}?{urlencode({'testing': run.pk})}#answers")


def _add(board: Board, step: StepDefinition, action: Action) -> HttpResponse:
    """Put the HTTP step behind the step, left out of runs; what a form that was sent twice has added is there once."""
    named, url = board.request.POST.get("as", ""), _url(board, step)
    if named in board.by_key:
        return redirect(board.url("workflow-step", named))
    pair = _pair(board, step, action)
    if pair.variant is None or pair.http is None:
        messages.error(board.request, _("Nothing was added: %(why)s") % {"why": pair.found.why})
        return redirect(url)
    config = pair.variant.config.model_copy(update={"skip": True})
    text = pair.variant.model_copy(update={"config": config}).model_dump(mode="json")
    try:
        made = step_paste(
            actor=board.actor,
            workflow=board.workflow,
            text=json.dumps(text),
            after=step.key,
            if_match=board.workflow.revision,
        )
    except Conflict as error:
        if named in board_of(board.request, board.actor, board.workflow.pk).by_key:
            return redirect(board.url("workflow-step", named))
        messages.error(board.request, error.message)
        return redirect(url)
    except ServiceError as error:
        messages.error(board.request, error.message)
        return redirect(url)
    messages.success(board.request, _("Added, and left out of runs until you take it in: both would act."))
    for line in _http_notes(action, pair, pair.http):
        messages.warning(board.request, line)
    return redirect(board.url("workflow-step", made.key))
