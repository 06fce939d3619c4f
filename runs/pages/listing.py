"""The list of runs: a page of rows, where there are others, and how it keeps up with what happens meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator.ids import moment_of
from orchestrator.tenants.models import Tenant
from orchestrator.words import clock
from runs import listing
from runs.listing import COUNT_LIMITS, PAGE_ROWS, Found
from runs.models import Run
from runs.pages.filters import Chip, Filters, Hidden, chips, filters_of, hidden, whole
from runs.pages.rows import RunRow, run_rows, with_trigger_head

MOST_NEW: Final = 99


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What somebody has before them: the runs by id, ``revision`` of them all together, and how many ``new`` are told.

    ``seen`` is the newest run there was, whether it is shown or not. ``held``: nothing may move, since they have gone
    down the page or have picked runs.
    """

    ids: tuple[int, ...]
    revision: int
    seen: int
    new: int
    held: bool
    picked: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ListPage:
    """What the list's template shows; an address that is empty leads nowhere."""

    url: str
    bulk_url: str
    export_url: str
    workflows_url: str
    filters: Filters
    chips: list[Chip]
    rows: list[RunRow]
    picked: Collection[int]
    back: str
    older_url: str
    newer_url: str
    poll_url: str
    running: int
    new: int
    looked: str
    further_url: str
    hidden: list[Hidden]


def list_page(tenant: Tenant, given: QueryDict) -> ListPage:
    """Return the page that an address asks for. Raises NotFound for a workflow that is none of the tenant's."""
    filters = filters_of(tenant, given)
    before, after = whole(given.get("before", "")), whole(given.get("after", ""))
    # Before the page is read: a run that begins in between is new at the next look, and not lost.
    seen = listing.newest(tenant, filters.narrow)
    found = listing.look(tenant, filters.narrow, before=None if after else before, after=after)
    if after and not found.ids and found.stopped_at is None:
        before = after = None
        found = listing.look(tenant, filters.narrow)
    return _page(tenant, filters, found, before=before, after=after, seen=seen)


def _page(
    tenant: Tenant,
    filters: Filters,
    found: Found,
    *,
    before: int | None = None,
    after: int | None = None,
    seen: int,
    new: int = 0,
    picked: Collection[int] = (),
) -> ListPage:
    url = reverse("run-list", args=[tenant.slug])
    active, runs = chips(url, filters), _runs(tenant, found.ids)
    older, newer = _neighbours(found, before, after)
    is_live = not before and not after and not filters.narrow.q
    return ListPage(
        url=url,
        bulk_url=reverse("run-bulk", args=[tenant.slug]),
        export_url=reverse("run-export", args=[tenant.slug]),
        workflows_url=reverse("workflow-list", args=[tenant.slug]),
        filters=filters,
        chips=active,
        rows=run_rows(tenant, runs),
        picked=picked,
        back=filters.query(add=[(name, str(at)) for name, at in (("before", before), ("after", after)) if at]),
        older_url=_cursor(url, filters, "before", older),
        newer_url=_cursor(url, filters, "after", newer),
        poll_url=_poll_url(url, filters, runs, seen=seen, new=new) if is_live else "",
        running=listing.running(tenant, filters.narrow.workflow),
        new=new,
        looked=_looked(found, going_on=before is not None) if not after else "",
        further_url=_cursor(url, filters, "before", found.stopped_at) if not after else "",
        hidden=hidden(tenant, url, filters, active) if not runs and active and found.stopped_at is None else [],
    )


def _runs(tenant: Tenant, ids: Sequence[int]) -> list[Run]:
    return list(with_trigger_head(listing.listed(tenant, ids))) if ids else []


def _neighbours(found: Found, before: int | None, after: int | None) -> tuple[int | None, int | None]:
    """Return from which run on the older ones are, and above which the newer ones."""
    first, last = (found.ids[0], found.ids[-1]) if found.ids else (None, None)
    if after:
        return last, found.stopped_at or (first if found.more else None)
    return last if found.more else None, first if before else None


def _cursor(url: str, filters: Filters, name: str, at: int | None) -> str:
    return f"{url}?{filters.query(add=[(name, str(at))])}" if at else ""


def _looked(found: Found, *, going_on: bool) -> str:
    """Return how far the search came, where it did not come to the end."""
    if found.stopped_at is None:
        return ""
    told = {"count": f"{found.looked_at:,}", "time": clock(moment_of(found.stopped_at))}
    if going_on:
        return _("Looked through %(count)s more runs, back to %(time)s.") % told
    return _("Looked through the last %(count)s runs, back to %(time)s.") % told


def _poll_url(url: str, filters: Filters, runs: Sequence[Run], *, seen: int, new: int) -> str:
    shown = {
        "shown": ".".join(str(run.pk) for run in runs),
        "revision": sum(run.revision for run in runs),
        "seen": seen,
        "new": new,
    }
    return f"{url}?{filters.query(add=[(name, str(value)) for name, value in shown.items()])}"


def shown_of(given: QueryDict) -> Shown:
    """Return what a look for changes says of the page it comes from."""
    ids = [whole(text) for text in given.get("shown", "").split(".")[:PAGE_ROWS]]
    picked = [whole(text) for text in given.getlist("run")[:PAGE_ROWS]]
    return Shown(
        ids=tuple(pk for pk in ids if pk),
        revision=whole(given.get("revision", "")) or 0,
        seen=whole(given.get("seen", "")) or 0,
        new=whole(given.get("new", "")) or 0,
        held="held" in given or any(picked),
        picked=tuple(pk for pk in picked if pk),
    )


def changes(tenant: Tenant, given: QueryDict) -> ListPage | None:
    """Return the page as it is now, None when it is as it was shown; two queries then.

    Where nothing may move, the same runs are shown as they are now, and how many are new is told.
    """
    filters, shown = filters_of(tenant, given), shown_of(given)
    new = 0
    if listing.newest(tenant, filters.narrow) > shown.seen:
        found = listing.look(tenant, filters.narrow, after=shown.seen, most=MOST_NEW, limits=COUNT_LIMITS)
        new = len(found.ids)
    may_move = new and not shown.held
    if not may_move and new == shown.new and listing.revision_of(tenant, shown.ids) == shown.revision:
        return None
    if not shown.held or not shown.ids:
        return list_page(tenant, given)
    as_shown = Found(ids=tuple(sorted(shown.ids, reverse=True)), more=True)
    return _page(tenant, filters, as_shown, seen=shown.seen, new=new, picked=shown.picked)
