"""What people know by name and Linear by id: teams, people, labels and states, in one question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from integrations.providers.linear.client import ask, nodes_of
from integrations.sdk import InputError, Option, Options, OptionsContext
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

TEAMS: Final = """query Teams($name: String!, $after: String) {
  teams(first: 50, after: $after, filter: {name: {containsIgnoreCase: $name}}) {
    nodes { id key name }
    pageInfo { hasNextPage endCursor }
  }
}"""
LOOKUP: Final = """query Lookup(
  $team: String!, $mail: String!, $labels: [String!]!, $state: String!,
  $byMail: Boolean!, $byLabel: Boolean!, $byState: Boolean!
) {
  teams(first: 5, filter: {or: [{key: {eqIgnoreCase: $team}}, {name: {eqIgnoreCase: $team}}]}) { nodes { id key name } }
  users(first: 5, filter: {email: {eqIgnoreCase: $mail}}) @include(if: $byMail) { nodes { id } }
  issueLabels(first: 100, filter: {name: {in: $labels}}) @include(if: $byLabel) { nodes { id name team { id } } }
  workflowStates(first: 100, filter: {name: {eqIgnoreCase: $state}}) @include(if: $byState) { nodes { id team { id } } }
}"""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)


def is_id(value: str) -> bool:
    return _UUID.fullmatch(value) is not None


@dataclass(frozen=True, kw_only=True)
class Names:
    """What an issue is to have, by id or by name; empty where it is to have none."""

    team: str
    assignee: str = ""
    labels: Sequence[str] = ()
    state: str = ""

    def unknown(self) -> bool:
        """Whether something is given by its name."""
        return not all(is_id(each) for each in (self.team, self.assignee, self.state, *self.labels) if each)


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The same by id."""

    team: str
    assignee: str = ""
    labels: list[str] = field(default_factory=list)
    state: str = ""


async def ids_of(http: StepHttp, names: Names) -> Ids:
    """Return the ids of what is given by name, with one question for all. Raises InputError for what is not there."""
    if not names.unknown():
        return Ids(team=names.team, assignee=names.assignee, labels=list(names.labels), state=names.state)
    labels = [each for each in names.labels if not is_id(each)]
    by_mail, by_state = bool(names.assignee) and not is_id(names.assignee), bool(names.state) and not is_id(names.state)
    response = await ask(
        http,
        LOOKUP,
        {
            "team": names.team, "mail": names.assignee, "labels": labels, "state": names.state,
            "byMail": by_mail, "byLabel": bool(labels), "byState": by_state,
        },
    )  # fmt: skip
    team = names.team if is_id(names.team) else _only(response, "teams", "team", names.team)
    return Ids(
        team=team,
        assignee=_only(response, "users", "assignee", names.assignee) if by_mail else names.assignee,
        labels=list(_labels(response, names.labels, team)) if labels else list(names.labels),
        state=_state(response, names.state, team) if by_state else names.state,
    )


def _only(response: Response, rows: str, name: str, wanted: str) -> str:
    found = nodes_of(response, rows)
    if len(found) != 1:
        raise _missing(name, wanted) if not found else _several(name, wanted)
    return str(found[0]["id"])


def _labels(response: Response, wanted: Sequence[str], team: str) -> Iterator[str]:
    """Yield the ids of labels, in their order: the team's own one of a name comes before the workspace's."""
    rows = nodes_of(response, "issueLabels")
    shared = {str(row.get("name")): str(row["id"]) for row in rows if row.get("team") is None}
    own = {str(row.get("name")): str(row["id"]) for row in rows if _team_of(row) == team}
    for each in wanted:
        found = each if is_id(each) else own.get(each) or shared.get(each)
        if found is None:
            raise _missing("labels", each)
        yield found


def _state(response: Response, wanted: str, team: str) -> str:
    found = [str(row["id"]) for row in nodes_of(response, "workflowStates") if _team_of(row) == team]
    if not found:
        raise _missing("state", wanted)
    return found[0]


def _team_of(row: dict[str, Any]) -> object:
    team = row.get("team")
    return team.get("id") if isinstance(team, dict) else None


def _missing(name: str, wanted: str) -> InputError:
    return InputError(
        _("Linear knows nothing by %(wanted)r that fits.") % {"wanted": wanted[:100]},
        field=name,
        hint=_("Write it as it is in the team, or give its id."),
    )


def _several(name: str, wanted: str) -> InputError:
    return InputError(
        _("Linear knows several by %(wanted)r.") % {"wanted": wanted[:100]}, field=name, hint=_("Give its id.")
    )


async def teams(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the teams that the account sees."""
    response = await ask(ctx.http, TEAMS, {"name": query.strip(), "after": cursor})
    rows = nodes_of(response, "teams")
    page = response.json_object()["data"]["teams"].get("pageInfo")
    more = page.get("endCursor") if isinstance(page, dict) and page.get("hasNextPage") is True else None
    items = [Option(str(row.get("key") or row["id"]), str(row.get("name") or row["id"]), row["id"]) for row in rows]
    return Options(items=items, next_cursor=str(more) if more else None)
