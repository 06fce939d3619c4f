"""What can be wrong with a control-flow step: its lanes, its waits and the options that mean nothing on it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.errors import Problem
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.facts import ActionFacts
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.flow.scoping import LOOPS, Seen
from orchestrator.flow.telling import error, is_literal, joined, texts, warning
from orchestrator.flow.tools import AGENT

# Options that mean nothing on a step, and what is meant instead: of the timeout, and of the retry.
_INSIDE: Final = gettext_noop("the steps inside have their own limits, and the workflow one for all")
_SAME_AGAIN: Final = gettext_noop("the same inputs give the same again")
_BY_INPUTS: Final = gettext_noop("how long it waits is what its inputs say")
_RETRIES_INSIDE: Final = gettext_noop("the steps inside have their own retries")
_NO_EFFECT: Final = {
    "timeout": gettext_noop("This limits nothing here: %(reason)s."),
    "retry": gettext_noop("Nothing is tried again here: %(reason)s."),
}
_UNUSED: Final[Mapping[str, tuple[str, str]]] = {
    "flow.if": (_INSIDE, _SAME_AGAIN),
    "flow.switch": (_INSIDE, _SAME_AGAIN),
    "flow.foreach": (_INSIDE, _RETRIES_INSIDE),
    "flow.parallel": (_INSIDE, _RETRIES_INSIDE),
    AGENT: (
        gettext_noop("how long it takes is what its limits say"),
        gettext_noop("its questions and its tools have their own retries"),
    ),
    "flow.wait": (_BY_INPUTS, _SAME_AGAIN),
    "flow.approve": (
        gettext_noop("how long it waits is its input timeout, Answer within"),
        gettext_noop("ask again in another step"),
    ),
    "flow.callback": (
        gettext_noop("how long it waits is its input timeout, Called within"),
        gettext_noop("wait again in another step"),
    ),
    "flow.stop": (gettext_noop("it takes no time"), _SAME_AGAIN),
    "workflow.call": (
        gettext_noop("the called workflow has a time limit of its own"),
        gettext_noop("the steps of the called workflow have their own retries"),
    ),
}


def unused_options(action: str) -> Mapping[str, str]:
    """Return the options that mean nothing on a step of an action, each with what is meant instead.

    ``{"timeout": "how long it waits is its input timeout", "retry": …}``, empty for steps that call something.
    """
    return dict(zip(("timeout", "retry"), map(_, _UNUSED.get(action, ())), strict=False))


def lane_problems(path: str, step: StepDefinition, facts: ActionFacts) -> Iterator[Problem]:
    """Yield what is wrong with the names of a step's lanes."""
    for lane in step.lanes:
        if facts.lanes is None:
            yield error(f"{path}.lanes.{lane}", _("%(name)s holds no further steps.") % {"name": facts.name}, "lane")
        elif facts.lanes and lane not in facts.lanes:
            yield error(
                f"{path}.lanes.{lane}",
                _("%(name)s has the lanes %(lanes)s.") % {"name": facts.name, "lanes": ", ".join(facts.lanes)},
                "lane",
            )


def control_problems(path: str, step: StepDefinition) -> Iterator[Problem]:
    """Yield what is wrong with a control-flow step beyond what its model finds in its inputs."""
    for option, reason in unused_options(step.action).items():
        if getattr(step.config, option) is not None:
            yield warning(f"{path}.config.{option}", _(_NO_EFFECT[option]) % {"reason": reason}, "no_effect")
    check = _CHECKS.get(step.action)
    if check is not None:
        yield from check(path, step)


def unreachable(prefix: str, steps: Sequence[StepDefinition]) -> Iterator[Problem]:
    """Yield a warning for the first step after one that always ends the run."""
    for index, step in enumerate(steps[:-1]):
        if _always_ends(step):
            message = _("This never runs: steps.%(key)s before it ends the run.") % {"key": step.key}
            yield warning(f"{prefix}[{index + 1}]", message, "unreachable")
            return


def _always_ends(step: StepDefinition) -> bool:
    """Whether no run goes on after a step: it stops, or one of its lanes runs for certain and each of these stops."""
    if may_be_skipped(step):
        return False
    if step.action == "flow.stop":
        return True
    certain = {"flow.if": {"then", "else"}, "flow.switch": {"default"}}.get(step.action)
    if certain is None or not certain <= step.lanes.keys():
        return False
    return all(any(map(_always_ends, inner)) for inner in step.lanes.values())


def after_lanes(step: StepDefinition, lanes: Mapping[str, Mapping[str, Seen]]) -> dict[str, Seen]:
    """Return the steps inside a step that can be read after it; ``lanes`` has those of each lane.

    A loop's or an agent's cannot, as there is one for each turn. Those of a lane that may not run, or not to its end,
    may be null.
    """
    if step.action in LOOPS:
        return {}
    all_run = step.action == "flow.parallel" and not may_be_skipped(step) and not _goes_on(step)
    return {
        key: Seen(
            step=seen.step, output_schema=seen.output_schema, may_be_skipped=seen.may_be_skipped or not all_run
        )
        for inner in lanes.values()
        for key, seen in inner.items()
    }  # fmt: skip


def may_be_skipped(step: StepDefinition) -> bool:
    """Whether a run may pass a step over, which then has no output."""
    return step.config.skip or step.config.run_if is not None


def _goes_on(step: StepDefinition) -> bool:
    """Whether the run may go on after a parallel step although one of its lanes failed."""
    given = step.config.inputs.get("on_lane_error", "stop")
    return step.config.on_error == "continue" or given == "continue" or not is_literal(given)


def _if(path: str, step: StepDefinition) -> Iterator[Problem]:
    if not any(step.lanes.values()):
        yield warning(f"{path}.lanes", _("Neither lane has a step, so this decides nothing."), "empty_lanes")


def _switch(path: str, step: StepDefinition) -> Iterator[Problem]:
    if not any(step.lanes.values()):
        yield warning(f"{path}.lanes", _("No lane has a step, so this decides nothing."), "empty_lanes")
    elif "default" not in step.lanes:
        message = _("There is no lane default: for a value that no lane is named like, nothing runs.")
        yield warning(f"{path}.lanes", message, "no_default")


def _foreach(path: str, step: StepDefinition) -> Iterator[Problem]:
    if not step.lanes.get("body"):
        yield error(f"{path}.lanes.body", _("The loop has no step inside. Add one, or remove the loop."), "loop_empty")


def _parallel(path: str, step: StepDefinition) -> Iterator[Problem]:
    if sum(bool(inner) for inner in step.lanes.values()) < 2:
        yield warning(
            f"{path}.lanes", _("Fewer than two lanes have steps, so nothing runs at the same time."), "one_lane"
        )


def _wait(path: str, step: StepDefinition) -> Iterator[Problem]:
    inputs = step.config.inputs
    if inputs.get("seconds") is not None and inputs.get("until") is not None and not is_literal(inputs):
        # The model tells this of literals alone: what an expression gives may be null.
        message = _("Only one of seconds and until may be given: the other has to turn out null.")
        yield warning(f"{path}.config.inputs.until", message, "wait_one")


def _approve(path: str, step: StepDefinition) -> Iterator[Problem]:
    inputs = step.config.inputs
    if inputs.get("exclude_requester") is True and inputs.get("approvers", []) == []:
        message = _(
            "Without approvers the link is enough to answer, so nobody can be told apart. List approvers as well."
        )
        yield warning(f"{path}.config.inputs.exclude_requester", message, "no_approvers")
    form = inputs.get("form")
    if isinstance(form, Mapping):
        yield from _schema(f"{path}.config.inputs.form", form)


def _schema(prefix: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    dynamic = {where for where, text in texts(schema, prefix) if "{{" in text}
    for path, message in schema_problems(schema, of_object=True):
        where = joined(prefix, path)
        if where not in dynamic:
            yield error(where, message, "json_schema")


_CHECKS: Final[Mapping[str, Callable[[str, StepDefinition], Iterator[Problem]]]] = {
    "flow.if": _if,
    "flow.switch": _switch,
    "flow.foreach": _foreach,
    "flow.parallel": _parallel,
    "flow.wait": _wait,
    "flow.approve": _approve,
}
