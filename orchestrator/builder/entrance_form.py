"""The forms of the triggers that have to do with other workflows: who may call this one, whose failures start it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator import jsongate
from orchestrator.builder.wrong import Wrong
from orchestrator.flow.names import TriggerType
from orchestrator.workflows.models import Workflow

if TYPE_CHECKING:
    from django.http import QueryDict

    from orchestrator.builder.board import Board

KINDS: Final = (TriggerType.WORKFLOW, TriggerType.ERROR)
# Of a tenant's workflows; those that are ticked are there beyond that.
MOST_SHOWN: Final = 200
MOST_TICKED: Final = 200
_MOST_TEXT: Final = 100_000
_LISTS: Final[Mapping[str, str]] = {TriggerType.WORKFLOW.value: "callers", TriggerType.ERROR.value: "workflows"}
_SCHEMAS: Final = ("input", "output")


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A workflow to tick."""

    slug: str
    name: str
    on: bool


@dataclass(frozen=True, kw_only=True)
class EntranceForm:
    """``texts`` are the schemas as JSON, by ``input`` and ``output``; ``said`` tells in a sentence what is ticked."""

    is_called: bool
    ticks: tuple[Tick, ...]
    said: str
    texts: Mapping[str, str]
    errors: Mapping[str, str]


def entrance_form(
    board: Board,
    kind: str,
    config: Mapping[str, Any],
    *,
    posted: QueryDict | None = None,
    errors: Mapping[str, str] = MappingProxyType({}),
) -> EntranceForm:
    """Return the form of a stored config, or of what was posted with what is wrong with it."""
    ticked = _listed(config, kind) if posted is None else _ticked(posted)
    texts = {name: _text(config.get(name)) for name in _SCHEMAS}
    if posted is not None:
        texts = {name: posted.get(name, "")[:_MOST_TEXT] for name in _SCHEMAS}
    return EntranceForm(
        is_called=kind == TriggerType.WORKFLOW.value,
        ticks=_ticks(board, ticked),
        said=sentence(kind, config),
        texts=texts,
        errors=errors,
    )


def _ticks(board: Board, ticked: list[str]) -> tuple[Tick, ...]:
    others = Workflow.objects.for_tenant(board.tenant).exclude(pk=board.workflow.pk)
    names = dict(others.filter(slug__in=ticked).values_list("slug", "name"))
    names |= dict(others.order_by("name", "id").values_list("slug", "name")[:MOST_SHOWN])
    gone = {slug: _("%(slug)s (does not exist)") % {"slug": slug} for slug in ticked if slug not in names}
    rows = sorted({**names, **gone}.items(), key=lambda row: (row[1].lower(), row[0]))
    return tuple(Tick(slug=slug, name=name, on=slug in ticked) for slug, name in rows)


def _listed(config: Mapping[str, Any], kind: str) -> list[str]:
    found = config.get(_LISTS[kind])
    return [slug for slug in found if isinstance(slug, str)] if isinstance(found, list) else []


def _ticked(posted: QueryDict) -> list[str]:
    return list(dict.fromkeys(slug[:63] for slug in posted.getlist("workflow") if slug))[:MOST_TICKED]


def _text(schema: Any) -> str:
    return "" if schema is None else json.dumps(schema, indent=2, ensure_ascii=False)


def sentence(kind: str, config: Mapping[str, Any]) -> str:
    """Return which other workflows a config speaks of, in words."""
    found = config.get(_LISTS[kind])
    is_called = kind == TriggerType.WORKFLOW.value
    if not isinstance(found, list):
        return _("Every workflow may call it") if is_called else _("When a run of any other workflow fails")
    count = len(found)
    if is_called:
        return ngettext("%(count)d workflow may call it", "%(count)d workflows may call it", count) % {"count": count}
    said = ngettext("When a run of %(count)d workflow fails", "When a run of %(count)d workflows fails", count)
    return said % {"count": count}


def config_from(kind: str, posted: QueryDict, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that a form says. Raises Wrong."""
    errors: dict[str, str] = {}
    config: dict[str, Any] = {}
    for name in _SCHEMAS if kind == TriggerType.WORKFLOW.value else ():
        text = posted.get(name, "").strip()
        if not text:
            continue
        try:
            config[name] = jsongate.loads(text.encode("utf-8", "surrogatepass"))
        except jsongate.BadJSON as error:
            errors[name] = _("This was not taken: %(why)s.") % {"why": error}
            continue
        if not isinstance(config[name], dict):
            errors[name] = _('A JSON schema is an object, like {"type": "object"}.')
    if errors:
        raise Wrong(errors)
    ticked = _ticked(posted)
    # An empty list that somebody wrote lets nobody in: a form that shows no tick must not open the door.
    if ticked or stored.get(_LISTS[kind]) == []:
        config[_LISTS[kind]] = ticked
    return config
