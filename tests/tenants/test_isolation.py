"""Two tenants with an object of each kind: whatever is asked of one, nothing of the other is read, told or changed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from orchestrator.admin import site
from orchestrator.tenants.models import Role, Scope
from orchestrator.tenants.scoping import TenantOwned
from tests.tenants.rights.api_rows import API
from tests.tenants.rights.asking import Answered, Caller, address, ask, signed_in
from tests.tenants.rights.other_rows import ADMINISTRATION, OPEN
from tests.tenants.rights.page_rows import PAGES
from tests.tenants.rights.probes import FORMS, QUERIES, READ_WITH
from tests.tenants.rights.rows import Face, Row, admin
from tests.tenants.rights.world import World

WORD = "quokka"
OWNED = [model for model in apps.get_models() if issubclass(model, TenantOwned)]
# What differs from one answer to the next.
_VARIES = re.compile(
    r'name="csrfmiddlewaretoken" value="[^"]*"|csrfToken&quot;:[^,}]*|[\w-]{64}|\d{4}(?:-\d\d){2}T[\d:.]+Z'
)
_IDS = re.compile(r"\d{15,}")


@pytest.fixture
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two answers be the same but for what they tell."""
    monkeypatch.setattr("orchestrator.middleware.new_reference", lambda: "reference")
    moment = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: moment)


def state(world: World) -> dict[str, Any]:
    """Return every row of a tenant."""
    found = {model._meta.label: list(model.unscoped.filter(tenant=world.tenant).values()) for model in OWNED}
    people = list(User.objects.filter(username__startswith=WORD).values())
    return {**found, "tenant": type(world.tenant).objects.filter(pk=world.tenant.pk).values().get(), "people": people}


def told(answered: Answered, theirs: World, sent: str) -> list[str]:
    """Return what an answer says of the other tenant that the request did not say first."""
    text = " ".join((answered.text, answered.location, *answered.said))
    ids = {value for value in theirs.names.values() if value.isdigit() and len(value) > 9} - {theirs.names["user"]}
    words = set(re.findall(rf"{WORD}[\w@.-]*", text))
    return sorted(each for each in words | {one for one in ids if one in text} if each not in sent)


@dataclasses.dataclass
class Asker:
    """Our owner, who tries: collects what goes wrong."""

    ours: World
    theirs: World
    caller: Caller
    before: dict[str, Any]
    found: list[str] = dataclasses.field(default_factory=list)
    asked: int = 0

    def ask(self, row: Row, method: str, where: str, sent: Any = None) -> Answered:
        """Ask; note what is told or changed of theirs, and any fault."""
        changed: list[str] = []

        def look() -> None:
            after = state(self.theirs)
            changed.extend(name for name in after if after[name] != self.before[name])

        answered = ask(row, method, where, self.ours, self.caller, sent=sent, look=look)
        self.asked += 1
        leaked = told(answered, self.theirs, f"{where} {sent}")
        if leaked or changed or answered.status >= 500:
            self.found.append(f"{method} {where} {sent or ''}: tells {leaked}, changes {changed}: {answered}")
        return answered

    def expect(self, is_right: bool, row: Row, method: str, where: str, answered: Answered) -> None:
        if not is_right:
            self.found.append(f"{method} {row} at {where}: {answered}")

    def done(self) -> None:
        assert not self.found, "\n".join(self.found)
        assert self.asked, "nothing was asked"


@pytest.fixture
def as_owner(ours: World, theirs: World) -> Callable[..., Asker]:
    before = state(theirs)
    user = ours.people[Role.OWNER]
    User.objects.filter(pk=user.pk).update(is_staff=True)
    headers = {"X-Tenant": ours.tenant.slug}
    bearer = {"Authorization": f"Bearer {ours.tokens[Role.OWNER]}"}
    callers = {
        "session": signed_in("our owner", user, role=Role.OWNER, headers=headers),
        "token": Caller(name="our owner's token", role=Role.OWNER, headers=bearer, scopes=frozenset(Scope)),
    }

    def make(how: str = "session") -> Asker:
        return Asker(ours=ours, theirs=theirs, caller=callers[how], before=before)

    return make


def _with(world: World, names: Mapping[str, str]) -> World:
    return dataclasses.replace(world, names={**world.names, **names})


def _never(world: World) -> World:
    """Return a world of ids that nothing ever had."""
    return _with(world, {n: str(int(v) + 7) for n, v in world.names.items() if v.isdigit() and len(v) > 9})


def _foreign(row: Row, ours: World, theirs: World) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield addresses of a row with ids of theirs in the place of ours, each by itself and all at once."""
    own = address(row, ours, role=Role.OWNER)
    ids = {name: value for name, value in theirs.names.items() if name != "tenant"}
    single = [{name: value} for name, value in ids.items()]
    seen = {own}
    for names in (*single, ids):
        where = address(row, _with(ours, names), role=Role.OWNER)
        if where not in seen:
            seen.add(where)
            yield where, names


def _ways(row: Row) -> tuple[str, ...]:
    return ("session", "token") if row.face is Face.API else ("session",)


def _same(text: str, names: Mapping[str, str]) -> str:
    """Return a text without the ids that were asked for, and without what is another each time."""
    for value in sorted(set(names.values()), key=len, reverse=True):
        if value.isdigit() and len(value) > 9:
            text = text.replace(value, "…")
    return _VARIES.sub("…", text)


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_moment")
def test_their_objects_are_not_there_and_answered_like_what_never_was(
    ours: World, theirs: World, as_owner: Callable[..., Asker]
) -> None:
    never = _never(theirs).names
    askers = {how: as_owner(how) for how in ("session", "token")}
    for row in (*PAGES, *API, *ADMINISTRATION):
        for where, names in _foreign(row, ours, theirs):
            nowhere = address(row, _with(ours, {name: never[name] for name in names}), role=Role.OWNER)
            for method in row.least:
                for asker in (askers[how] for how in _ways(row)):
                    answered = asker.ask(row, method, where)
                    refused = answered.status == 404 or (row.face is Face.ADMIN and answered.status == 403)
                    asker.expect(refused or row.leads_on, row, method, where, answered)
                    unknown = asker.ask(row, method, nowhere)
                    alike = (answered.status, _same(answered.text, names)) == (
                        unknown.status, _same(unknown.text, {name: never[name] for name in names}),
                    )  # fmt: skip
                    asker.expect(alike, row, method, f"{where} and {nowhere}", answered)
    for asker in askers.values():
        asker.done()


@pytest.mark.django_db
def test_their_tenant_is_not_there(ours: World, theirs: World, as_owner: Callable[..., Asker]) -> None:
    asker = as_owner()
    caller = dataclasses.replace(asker.caller, headers={"X-Tenant": theirs.tenant.slug})
    asker.caller = caller
    for row in (*PAGES, *API):
        where = address(row, theirs, role=Role.OWNER)
        for method in row.least:
            answered = asker.ask(row, method, where)
            asker.expect(answered.status == 404, row, method, where, answered)
    asker.done()


@pytest.mark.django_db
def test_no_answer_tells_of_them_whatever_a_query_names(
    ours: World, theirs: World, as_owner: Callable[..., Asker]
) -> None:
    askers = {how: as_owner(how) for how in ("session", "token")}
    for row in (*PAGES, *API, *ADMINISTRATION):
        if "GET" not in row.least:
            continue
        where = address(row, ours, role=Role.OWNER)
        for query in ("", *QUERIES):
            joined = where + ("&" if "?" in where else "?") + theirs.fill(query) if query else where
            for how in _ways(row):
                askers[how].ask(row, "GET", joined)
    for asker in askers.values():
        asker.done()


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_moment")
@pytest.mark.parametrize("index", range(len(READ_WITH)), ids=[f"{route}?{query}" for route, query in READ_WITH])
def test_a_query_that_names_theirs_finds_nothing(
    ours: World, theirs: World, as_owner: Callable[..., Asker], index: int
) -> None:
    """Ask with theirs and with what never was: the two are answered alike."""
    route, query = READ_WITH[index]
    row = next(row for row in (*PAGES, *API, *ADMINISTRATION) if row.route == route)
    asker = as_owner("token" if row.face is Face.API else "session")
    never = _never(theirs)
    where = address(row, ours, role=Role.OWNER)
    answers = [asker.ask(row, "GET", f"{where}?{world.fill(query)}") for world in (theirs, never)]
    first, second = ((a.status, _same(a.text, w.names)) for a, w in zip(answers, (theirs, never), strict=True))
    assert first == second
    asker.done()


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_moment")
def test_a_form_that_names_theirs_is_answered_as_if_they_never_were(
    ours: World, theirs: World, as_owner: Callable[..., Asker]
) -> None:
    askers = {how: as_owner(how) for how in ("session", "token")}
    by_route = {row.route: row for row in (*PAGES, *API, *ADMINISTRATION)}
    never = _never(theirs)
    for route, method, sent in FORMS:
        row = by_route[route]
        where = address(row, ours, role=Role.OWNER)
        for asker in (askers[how] for how in _ways(row)):
            answers = [asker.ask(row, method, where, world.fill(sent)) for world in (theirs, never)]
            # What is made on the way has another id each time.
            first, second = (
                (a.status, *(_IDS.sub("…", _VARIES.sub("…", each)) for each in (a.location, a.text, *a.said)))
                for a in answers
            )
            asker.expect(first == second, row, method, f"{where} {sent}", answers[0])
    for asker in askers.values():
        asker.done()


@pytest.mark.django_db
def test_a_form_that_names_theirs_reaches_nothing(ours: World, theirs: World, as_owner: Callable[..., Asker]) -> None:
    askers = {how: as_owner(how) for how in ("session", "token")}
    # Each form as it is, with theirs wherever it names anything, and with theirs beside what it asks for.
    extra = {
        name: theirs.fill(value)
        for name, value in {
            "run": "$run", "workflow": "$workflow", "credential": "$credential", "use": "run-$run", "by": "$spare",
            "tenant": "$tenant_id", "_selected_action": "$run", "error_workflow": "$alone", "version": "$version",
        }.items()
    }  # fmt: skip
    for row in (*PAGES, *API, *ADMINISTRATION):
        for method in set(row.least) - {"GET"}:
            where, sent = address(row, ours, role=Role.OWNER), theirs.fill(row.sent)
            for how in _ways(row):
                askers[how].ask(row, method, where, sent)
            if row.face is not Face.API:
                askers["session"].ask(row, method, where, {**extra, **(sent or {})})
    for asker in askers.values():
        asker.done()


@pytest.mark.django_db
def test_no_action_of_the_administration_reaches_theirs(
    ours: World, theirs: World, as_owner: Callable[..., Asker]
) -> None:
    asker = as_owner()
    for model, of_model in site._registry.items():
        if not issubclass(model, TenantOwned):
            continue
        chosen = list(model.unscoped.filter(tenant=theirs.tenant).values_list("pk", flat=True)[:5])
        assert chosen, model
        row = admin(f"{model._meta.label_lower.replace('.', '/')}/", post=Role.EDITOR)
        names = ["delete_selected", *(button.name for button in getattr(of_model, "buttons", ()))]
        for name in names:
            sent = {"action": name, "_selected_action": [str(pk) for pk in chosen], "post": "yes", "index": "0"}
            asker.ask(row, "POST", f"/{row.route}", sent)
            asker.ask(row, "POST", f"/{row.route}", {**sent, "select_across": "1"})
    asker.done()


@pytest.mark.django_db
def test_no_autocomplete_offers_theirs(ours: World, theirs: World, as_owner: Callable[..., Asker]) -> None:
    asker = as_owner()
    row = next(row for row in ADMINISTRATION if row.route == "admin/autocomplete/")
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.ForeignKey) and field.remote_field.model in site._registry:
                at = f"app_label={model._meta.app_label}&model_name={model._meta.model_name}&field_name={field.name}"
                for term in ("", f"&term={WORD}"):
                    asker.ask(row, "GET", f"/admin/autocomplete/?{at}{term}")
    assert asker.asked > 10
    asker.done()


@pytest.mark.django_db
def test_tools_are_those_of_ones_own_tenant(ours: World, theirs: World, as_owner: Callable[..., Asker]) -> None:
    asker = as_owner("token")
    mcp = next(row for row in OPEN if row.route == "mcp")
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    listed = asker.ask(mcp, "POST", "/mcp", message)
    assert '"acme_alone"' in listed.text
    message["method"] = "tools/call"
    for params in (
        {"name": "get_run", "arguments": {"run_id": theirs.names["run"]}},
        {"name": "quokka_alone", "arguments": {}},
    ):
        answered = asker.ask(mcp, "POST", "/mcp", {**message, "params": params})
        assert '"isError":true' in answered.text or '"error"' in answered.text
        assert not answered.wrote
    asker.done()
