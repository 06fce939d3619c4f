"""Values of a run as its page shows them: small ones at once, larger ones on request, the largest as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db.models import Case, F, Q, When
from django.db.models.functions import Length
from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator.fields import JSONTextField
from orchestrator.types import JSONValue
from runs import selectors
from runs.models import Payload, Run, StepRun
from runs.pages.address import Address
from runs.states import StepStatus

# Characters of JSON that are drawn without being asked for.
AT_ONCE: Final = 20_000
# Bytes of JSON that a page opens on request; beyond that there is the file.
ON_REQUEST: Final = 2 * 1024 * 1024
# Entries of a tree, each a few elements of the page: more are reached by choosing one that holds them.
ENTRIES: Final = 110
ENTRIES_ON_REQUEST: Final = 240
# The tab in which a value is shown that is asked for.
SHOWN_IN: Final[Mapping[str, str]] = {"data": "data"}


@dataclass(frozen=True, kw_only=True)
class Value:
    """A JSON value; without one, why there is none, or how large it is and where it is to be had.

    ``files`` are links to the files in it, as ``runs.pages.files`` makes them.
    ``root`` is what expressions call it; ``entry_url`` leads to an entry of it whose path is put behind.
    """

    name: str
    title: str
    hint: str
    value: JSONValue = None
    entries: int = ENTRIES
    is_here: bool = True
    size: int | None = None
    show_url: str = ""
    file_url: str = ""
    missing: str = ""
    root: str = ""
    entry_url: str = ""
    files: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A value where it lies: in its column (``size`` in characters, ``inline`` unless it is large) or as a payload."""

    name: str
    inline: JSONValue
    size: int
    ref: int | None


def with_small_values(rows: Any, show: str) -> Any:
    """Return attempts with ``small_inputs`` and ``small_output``: what is in the columns, unless it is large."""
    return (
        rows.defer("inputs", "output")
        .annotate(inputs_length=Length("inputs"), output_length=Length("output"))
        .annotate(
            small_inputs=_small("inputs", show == "input"),
            small_output=_small("output", show == "output"),
        )
    )


def _small(column: str, whole: bool) -> Case:
    wanted = Q(**{f"{column}_length__isnull": False}) if whole else Q(**{f"{column}_length__lte": AT_ONCE})
    return Case(When(wanted, then=F(column)), default=None, output_field=JSONTextField())


def values_of(run: Run, address: Address, row: Any) -> tuple[Value, ...]:
    """Return what went into an attempt and what came out of it; two queries at the most."""
    sizes = _sizes(run, [row.inputs_ref, row.output_ref])
    inputs = Stored(name="input", inline=row.small_inputs, size=row.inputs_length or 0, ref=row.inputs_ref)
    output = Stored(name="output", inline=row.small_output, size=row.output_length or 0, ref=row.output_ref)
    return (
        shown(run, address, inputs, _("Input"), _("what the step received"), sizes),
        shown(run, address, output, _("Output"), _("what later steps can use"), sizes, missing=_missing(row)),
    )


def _missing(row: StepRun) -> str:
    if row.status in (StepStatus.RUNNING, StepStatus.WAITING):
        return _("Not finished yet.")
    return "" if row.status == StepStatus.SUCCEEDED else _("This attempt gave no output.")


def trigger_value(run: Run, address: Address) -> Value:
    """Return what started the run."""
    is_large = run.trigger_ref is None and len(str(run.trigger)) > AT_ONCE and address.show != "input"
    stored = Stored(
        name="input",
        inline=None if is_large else run.trigger,
        size=len(str(run.trigger)) if run.trigger_ref is None else 0,
        ref=run.trigger_ref,
    )
    return shown(run, address, stored, _("Trigger"), _("what started the run"), _sizes(run, [run.trigger_ref]))


def shown(
    run: Run,
    address: Address,
    stored: Stored,
    title: str,
    hint: str,
    sizes: Mapping[int, int],
    *,
    missing: str = "",
) -> Value:
    """Return a value as the page shows it."""
    asked = address.show == stored.name
    if stored.ref is None:
        if stored.inline is None and stored.size > AT_ONCE:
            return Value(
                name=stored.name,
                title=title,
                hint=hint,
                is_here=False,
                size=stored.size,
                show_url=replace(address, show=stored.name, tab=SHOWN_IN.get(address.tab, "")).whole.url,
            )
        entries = ENTRIES_ON_REQUEST if asked else ENTRIES
        told = missing if stored.inline is None else ""
        return Value(name=stored.name, title=title, hint=hint, value=stored.inline, entries=entries, missing=told)
    size, file_url = sizes.get(stored.ref, 0), reverse("run-value", args=[run.tenant.slug, run.pk, stored.ref])
    if asked and size <= ON_REQUEST:
        value = selectors.payload_value(run, stored.ref)
        return Value(
            name=stored.name,
            title=title,
            hint=hint,
            value=value,
            entries=ENTRIES_ON_REQUEST,
            size=size,
            file_url=file_url,
        )
    show_url = (
        replace(address, show=stored.name, tab=SHOWN_IN.get(address.tab, "")).whole.url if size <= ON_REQUEST else ""
    )
    return Value(
        name=stored.name, title=title, hint=hint, is_here=False, size=size, show_url=show_url, file_url=file_url
    )


def _sizes(run: Run, refs: Sequence[int | None]) -> dict[int, int]:
    wanted = [ref for ref in refs if ref is not None]
    if not wanted:
        return {}
    rows = Payload.objects.for_tenant(run.tenant_id).filter(run=run, pk__in=wanted)
    return dict(rows.values_list("pk", "size"))


def with_entries(values: Sequence[Value], address: Address, output_root: str) -> tuple[Value, ...]:
    """Return the values with what expressions call them, and with what leads to their entries."""
    roots = {"output": output_root, "item": "item"}
    return tuple(
        replace(value, root=value.root or roots.get(value.name, ""), entry_url=_entry_url(address, value.name))
        for value in values
    )


def _entry_url(address: Address, name: str) -> str:
    return f"{replace(address.whole, tab='data', value=name).url}&at="
