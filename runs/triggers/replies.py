"""What a webhook's caller is answered when its config says more than ``accepted``: the run's output, or its own words.

Whatever cannot be answered that way is answered as accepted, with the reason: the run is kept in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.flow.expressions import ExpressionError, render
from orchestrator.flow.webhooks import Reply, WebhookConfig, header_refusal, type_refusal, waits
from orchestrator.large import TooManyValues, opened, ready_now
from orchestrator.types import JSONValue
from runs.models import Run
from runs.patience import wait_for_end
from runs.selectors import payload_pieces, step_outcomes
from runs.states import RUN_TERMINAL, RunStatus
from runs.triggers.accepting import CONTENT_TYPE, accepted
from runs.triggers.addresses import Address
from runs.triggers.intake import Kept
from runs.triggers.rules import scope_of

MAX_HEADER: Final = 4_000
# A web process holds an answer as a whole.
MAX_ANSWER: Final = 10_000_000
_TEXT: Final = "text/plain; charset=utf-8"
_TERMINAL: Final = frozenset(status.value for status in RUN_TERMINAL)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back: ``body`` as a text, its type, and headers of the workflow's own."""

    status: int
    body: str
    content_type: str = CONTENT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(address: Address, config: WebhookConfig, document: Mapping[str, JSONValue], kept: Kept) -> Answer:
    """Return the answer to a request whose run is kept."""
    try:
        if isinstance(config.response, Reply):
            return _own(address, config, config.response, document, kept)
        if config.response == "output":
            return _output(address, config, kept)
    except ExpressionError as error:
        return _accepted(
            kept, _("The workflow's own answer could not be made: %(message)s") % {"message": error.message}
        )
    except TooManyValues as error:
        return _accepted(kept, _("The workflow's own answer could not be made: %(error)s") % {"error": error})
    return _accepted(kept)


def _accepted(kept: Kept, reason: str = "") -> Answer:
    status, body = accepted(kept, reason=reason)
    return Answer(status=status, body=body)


def _ended(address: Address, config: WebhookConfig, kept: Kept) -> Run | None:
    """Wait for the run, and return it if it has ended."""
    if not wait_for_end(address.tenant_id, kept.run_id, config.timeout):
        return None
    return Run.objects.for_tenant(address.tenant_id).filter(pk=kept.run_id, status__in=_TERMINAL).first()


def _late(kept: Kept, config: WebhookConfig) -> Answer:
    return _accepted(kept, _("The run has not ended within %(timeout)g s. It goes on.") % {"timeout": config.timeout})


def _failed(run: Run) -> Answer:
    """Tell a third party that the run did not do it, and nothing of why: that is for the tenant's people."""
    stopped = run.status == RunStatus.CANCELLED
    said = _("The run was stopped.") if stopped else _("The run failed.")
    error: dict[str, JSONValue] = {
        "code": "run_cancelled" if stopped else "run_failed",
        "message": _("%(said)s Sending the same again does not start another one if it carries a delivery id.")
        % {"said": said},
        "problems": [],
    }
    return Answer(status=422, body=jsongate.dumps({"id": str(run.pk), "error": error}))


def _output(address: Address, config: WebhookConfig, kept: Kept) -> Answer:
    run = _ended(address, config, kept)
    if run is None:
        return _late(kept, config)
    if run.status != RunStatus.SUCCEEDED:
        return _failed(run)
    if run.output_ref is None:
        return Answer(status=200, body=jsongate.dumps(run.output))
    size, pieces = payload_pieces(run, run.output_ref)
    if size > MAX_ANSWER:
        return _accepted(
            kept,
            _("The output has %(size)s bytes, more than an answer may have: read it by the API.")
            % {"size": f"{size:,}"},
        )
    return Answer(status=200, body=b"".join(pieces).decode())


def _own(
    address: Address, config: WebhookConfig, reply: Reply, document: Mapping[str, JSONValue], kept: Kept
) -> Answer:
    written: dict[str, JSONValue] = {"headers": {**reply.headers}, "body": reply.body}
    scope = scope_of(address, document, jsongate.dumps(written))
    scope["run"] = {"id": str(kept.run_id)}
    if waits(reply):
        run = _ended(address, config, kept)
        if run is None:
            return _late(kept, config)
        if run.status != RunStatus.SUCCEEDED:
            return _failed(run)
        scope["steps"] = step_outcomes(run)
    made: dict[str, Any] = ready_now(lambda: opened(render(written, scope)))
    headers = {name: value for name, value in made["headers"].items() if may_be_sent(name, value)}
    content_type = next((headers.pop(name) for name in list(headers) if name.lower() == "content-type"), "")
    body = made["body"]
    is_text = isinstance(body, str)
    return Answer(
        status=reply.status,
        body=body if is_text else jsongate.dumps(body),
        content_type=content_type or (_TEXT if is_text else CONTENT_TYPE),
        headers=headers,
    )


def may_be_sent(name: str, value: Any) -> bool:
    """Whether a header that was made from data may go out: one line, and of no harm."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_HEADER or not value.isascii():
        return False
    return not header_refusal(name) and (name.lower() != "content-type" or not type_refusal(value))
