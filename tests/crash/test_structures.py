"""The worker is killed in the middle of every control structure at once; each is then looked at by itself.

What is held against each run: how it ended, by the API; every attempt of every step; that what had ended before the
kill is as it was; what the upstream was asked, and with which keys; and what the run's page shows.
"""

from __future__ import annotations

import html
import os
import re
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from orchestrator.words import status_word
from tests.crash.structures import TIME_LIMIT, WAIT_SECONDS, Structure, structures
from tests.product import PASSWORD, Product, product, step, wait_for, workflow
from tests.upstream import Call, Upstream, upstream

pytestmark = pytest.mark.crash

HEALS_SECONDS: Final = 60
TERMINAL: Final = ("succeeded", "failed", "cancelled")
PAYLOAD: Final = {"n": 2, "plan": "b"}
# Started by what is named here, and not by hand.
STARTED_BY: Final = {"callee": "call", "alarm": "error-now"}
# Two runs are started of these; the second one is looked at where it takes the first one's place.
LIMITED: Final = ("queue", "skip", "cancel-older")
# These go on by themselves after a while, so they are started last.
TIMED: Final = ("wait", "wait-parked", "retry-pause", "timeout")


@dataclass(kw_only=True)
class Scene:
    """The runs by their workflow's slug: as they were just before the kill (``before``), and in the end (``runs``)."""

    found: Product
    called: Upstream
    person: httpx.Client
    all: Mapping[str, Structure]
    workflows: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    pages_before: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    drivers_before: set[str] = field(default_factory=set)

    def run(self, run: str) -> Any:
        return self.found.api("GET", f"runs/{run}/")

    def page(self, run: str) -> str:
        answer = self.person.get(f"/w/demo/runs/{run}/")
        assert answer.status_code == 200
        return answer.text

    def calls(self, run: str) -> dict[str, list[Call]]:
        """Return what the upstream was asked in a run, by the last part of the path."""
        made: dict[str, list[Call]] = defaultdict(list)
        for call in list(self.called.calls):
            _, of, name = call.path.split("/")
            if of == run:
                made[name].append(call)
        return made

    def start(self, slug: str) -> str:
        answer = self.found.api("POST", f"workflows/{self.workflows[slug]}/runs/", json={"payload": PAYLOAD})
        return str(answer["id"])

    def runs_of(self, slug: str) -> list[Any]:
        """Return the runs of a workflow, oldest first."""
        results: list[Any] = self.found.api("GET", f"runs/?workflow={self.workflows[slug]}")["results"]
        return sorted(results, key=lambda run: int(run["id"]))

    def drivers(self) -> set[str]:
        """Return who has runs under a lease."""
        with closing(sqlite3.connect(self.found.folder / "orchestrator.sqlite3", timeout=20)) as database:
            return {owner for (owner,) in database.execute("SELECT DISTINCT lease_owner FROM runs_run") if owner}

    # What happens, in this order.

    def publish_all(self) -> None:
        broken = step("halt", "flow.stop", {"status": "failed", "message": "broken"})
        documents = {slug: (one.steps, one.output, one.settings) for slug, one in self.all.items()}
        documents["error-now"] = ([broken], None, {"error_workflow": "alarm"})
        # First those that others name.
        for slug in sorted(documents, key=lambda slug: slug not in STARTED_BY):
            steps, output, settings = documents[slug]
            document = workflow(slug, steps, output=output, settings=dict(settings))
            self.workflows[slug] = self.found.publish({**document, "slug": slug})

    def start_all(self) -> None:
        for slug in self.all:
            if slug not in STARTED_BY and slug not in TIMED:
                self.ids[slug] = self.start(slug)
        self.start("error-now")
        wait_for(self._is_under_way("cancel-older"), seconds=20, what="a run that a newer one replaces")
        for slug in LIMITED:
            self.others[slug] = self.start(slug)
        newer = self.others["cancel-older"]
        self.others["cancel-older"], self.ids["cancel-older"] = self.ids["cancel-older"], newer
        for slug in STARTED_BY:
            self.ids[slug] = wait_for(lambda: self.runs_of(slug), seconds=20, what=f"a run of {slug}")[0]["id"]  # noqa: B023

    def _is_under_way(self, slug: str) -> Any:
        def met() -> bool:
            made = self.calls(self.ids[slug])
            if not all(made[name] for name in self.all[slug].middle):
                return False
            return not self.all[slug].parked or self.run(self.ids[slug])["status"] == "waiting"

        return met

    def kill(self) -> None:
        """Kill who drives once every run is in its middle; the calls under way have no answer by then."""
        self._look([slug for slug in self.all if slug not in TIMED])
        for slug in TIMED:
            self.ids[slug] = self.start(slug)
        self._look(TIMED)
        self.drivers_before = self.drivers()
        for owner in self.drivers_before:
            os.kill(int(owner.split("-")[1]), signal.SIGKILL)
        self.called.gate.set()

    def _look(self, slugs: Sequence[str]) -> None:
        """Wait until runs are in their middle, and keep what is shown of them."""
        for slug in slugs:
            wait_for(self._is_under_way(slug), seconds=20, what=f"the middle of {slug}")
            self.before[slug] = self.run(self.ids[slug])
            self.pages_before[slug] = self.page(self.ids[slug])

    def answer_all(self) -> None:
        """Answer what asks, while nobody drives the runs that do."""
        for slug in ("approve", "approve-parked"):
            decision = {"path": "ok", "decision": "approved"}
            self.found.api("POST", f"runs/{self.ids[slug]}/resolve/", json=decision)
        for slug in ("callback", "callback-parked"):
            url = self.calls(self.ids[slug])["told"][0].json()["url"]
            assert httpx.post(url, json={"n": 5}).is_success
        run = self.ids["lost-ask"]
        wait_for(lambda: self.run(run)["status"] == "waiting", seconds=HEALS_SECONDS, what="a run that asks a person")
        assert self.run(run)["waiting_for"] == {"path": "mid", "kind": "outcome_unknown"}
        known = {"path": "mid", "decision": "succeeded", "output": {"seen": True}}
        self.found.api("POST", f"runs/{run}/resolve/", json=known)

    def wait_until_all_end(self) -> None:
        def open_runs() -> list[str]:
            return [f"{run['id']} {run['status']}" for slug in self.all for run in self.runs_of(slug)
                    if run["status"] not in TERMINAL]  # fmt: skip

        wait_for(lambda: not open_runs(), seconds=HEALS_SECONDS, what=lambda: f"an end of {open_runs()}", every=0.5)
        self.runs = {slug: self.run(run) for slug, run in self.ids.items()}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Every structure, killed in its middle and come to its end."""
    with upstream() as called, product(EGRESS_ALLOW=called.address.removeprefix("http://")) as found:
        found.up()
        with httpx.Client(base_url=found.address) as person:
            person.get("/sign-in/")
            form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": person.cookies["csrftoken"]}
            assert person.post("/sign-in/", data=form).status_code == 302
            made = Scene(found=found, called=called, person=person, all=structures(called.address))
            made.publish_all()
            made.start_all()
            made.kill()
            made.answer_all()
            made.wait_until_all_end()
            yield made


SLUGS: Final = sorted(structures(""))


@pytest.mark.parametrize("slug", SLUGS)
def test_a_structure_goes_on_where_its_worker_was_killed(slug: str, scene: Scene) -> None:
    expected, run = scene.all[slug], scene.runs[slug]
    assert (run["status"], (run["error"] or {}).get("kind")) == (expected.status, expected.kind)
    assert run["output"] == expected.expected
    attempts: dict[str, list[str]] = defaultdict(list)
    for row in run["steps"]:
        attempts[row["path"]].append(row["status"])
        assert row["attempt"] == len(attempts[row["path"]])
    assert attempts == expected.attempts()


@pytest.mark.parametrize("slug", SLUGS)
def test_what_had_ended_before_the_kill_is_as_it_was(slug: str, scene: Scene) -> None:
    before = scene.before[slug]["steps"]
    assert scene.before[slug]["status"] == ("waiting" if scene.all[slug].parked else "running")
    assert [row["path"] for row in before if row["status"] in ("running", "waiting")], "nothing was under way"
    now = {(row["path"], row["attempt"]): row for row in scene.runs[slug]["steps"]}
    for row in before:
        found = now[row["path"], row["attempt"]]
        if row["finished_at"]:
            assert found == row
        else:
            assert (found["started_at"], found["inputs"]) == (row["started_at"], row["inputs"])


@pytest.mark.parametrize("slug", SLUGS)
def test_the_upstream_was_asked_once_for_what_is_done_and_again_with_the_same_key(slug: str, scene: Scene) -> None:
    expected, made = scene.all[slug], scene.calls(scene.ids[slug])
    named = [path.replace("].", "-").replace("each[", "") for path in expected.paths]
    asked = {"-".join(reversed(name.split("-"))) if "-" in name else name for name in named}
    counts = {name: len(calls) for name, calls in made.items() if calls}
    assert {name: expected.calls.get(name, 1) for name in asked & set(counts)} == counts
    assert not set(expected.never) & set(counts)
    for calls in made.values():
        assert len({call.headers.get("idempotency-key") for call in calls}) == 1
        if calls[0].method == "POST":
            assert calls[0].headers["idempotency-key"]


@pytest.mark.parametrize("slug", SLUGS)
def test_the_run_page_shows_its_lanes_and_items_and_how_they_ended(slug: str, scene: Scene) -> None:
    expected, run = scene.all[slug], scene.runs[slug]
    text = scene.page(run["id"])
    lines = lines_of(text)
    for row in run["steps"]:
        if "[" not in row["path"]:
            # A path's last attempt comes last.
            expected_word = status_word(run_status_of(run, row["path"]))
            assert lines[row["path"]] == expected_word
    for path, word in expected.lines.items():
        assert lines[path.replace("[", "-").replace("].", "-").replace("]", "")] == word
    sentences = sentences_of(text)
    for words in expected.said:
        assert any(sentence.startswith(words) for sentence in sentences), sentences


@pytest.mark.parametrize("slug", SLUGS)
def test_the_run_page_shows_what_is_under_way(slug: str, scene: Scene) -> None:
    text, run = scene.pages_before[slug], scene.before[slug]
    lines = lines_of(text)
    open_ = {row["path"]: row["status"] for row in run["steps"] if not row["finished_at"]}
    for path, status in open_.items():
        if "[" not in path:
            assert lines[path] == status_word(status)
    for path in (path for path in open_ if path.endswith(".mid")):
        item, _, key = path.replace("[", "-").replace("]", "").rpartition(".")
        assert lines[item] == "Running"
        assert lines[f"{item}-{key}"] == "Running"
    if "after" in scene.all[slug].paths:
        assert any(sentence.startswith("Still to come:") for sentence in sentences_of(text))


def run_status_of(run: Mapping[str, Any], path: str) -> str:
    """Return how a step ended: what its last attempt says."""
    return str([row for row in run["steps"] if row["path"] == path][-1]["status"])


def lines_of(text: str) -> dict[str, str]:
    """Return the word of each line of a run's page, by the path as it stands in the line's id."""
    found = re.findall(r'id="step-([^"]+)"(?:(?!</a>).)*?<span class="vh">(\w+)</span>', text, re.DOTALL)
    return dict(found)


def sentences_of(text: str) -> list[str]:
    """Return the sentences and headings of a run's timeline."""
    found = re.findall(r'<li [^>]*class="ww[^"]*">\s*<p[^>]*>(.*?)</p>', text, re.DOTALL)
    return [html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", part))).strip() for part in found]


# What is particular to one structure.


def test_a_wait_is_as_long_as_it_was_and_begins_once(scene: Scene) -> None:
    for slug in ("wait", "wait-parked"):
        (row,) = [row for row in scene.runs[slug]["steps"] if row["path"] == "pause"]
        assert WAIT_SECONDS <= row["output"]["waited_seconds"] < WAIT_SECONDS + 20
    first, second = (row for row in scene.runs["retry-pause"]["steps"] if row["path"] == "flaky")
    assert second["started_at"] > first["finished_at"]


def test_a_called_workflow_and_an_error_workflow_run_once(scene: Scene) -> None:
    assert len(scene.runs_of("callee")) == 1
    alarms = [scene.run(run["id"]) for run in scene.runs_of("alarm")]
    told = [alarm["trigger"]["body"]["run"]["id"] for alarm in alarms]
    assert sorted(told) == sorted([scene.runs_of("error-now")[0]["id"], scene.ids["error"]])
    assert {alarm["status"] for alarm in alarms} == {"succeeded"}
    for alarm in alarms:
        assert len(scene.calls(alarm["id"])["noted"]) == 1


def test_a_limit_holds_although_the_worker_was_killed(scene: Scene) -> None:
    later = {slug: scene.run(scene.others[slug]) for slug in LIMITED}
    assert later["queue"]["status"] == "succeeded"
    assert later["queue"]["started_at"] >= scene.runs["queue"]["finished_at"]
    assert (later["skip"]["status"], later["skip"]["error"]["kind"]) == ("cancelled", "rate_limited")
    assert later["skip"]["steps"] == []
    assert (later["cancel-older"]["status"], later["cancel-older"]["error"]["kind"]) == ("cancelled", "rate_limited")
    assert [row["status"] for row in later["cancel-older"]["steps"]] == ["cancelled"]
    assert len(scene.calls(scene.others["cancel-older"])["mid"]) == 1


def test_a_time_limit_ends_the_run_that_another_worker_took_up(scene: Scene) -> None:
    _before, _lost, late = scene.runs["timeout"]["steps"]
    assert late["error"]["kind"] == "timeout"
    assert late["duration_ms"] <= TIME_LIMIT * 1000 + 2000


def test_every_killed_worker_has_a_successor(scene: Scene) -> None:
    assert scene.drivers_before
    alive = {process.pid for process in scene.found.processes()}
    assert not {int(owner.split("-")[1]) for owner in scene.drivers_before} & alive
    assert len(alive) >= 8
