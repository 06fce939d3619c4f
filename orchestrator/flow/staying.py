"""What stays behind when steps become a workflow of their own: what of it reads them, and could not any more. Pure.

From outside only what the last step gave can be read then, by the call that has its key.
"""

from __future__ import annotations

from collections.abc import Iterator

from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.compiler import Reference
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition, walk_steps
from orchestrator.flow.expressions import ExpressionError, compile_template, find_templates
from orchestrator.flow.facts import Catalog
from orchestrator.flow.items import as_template
from orchestrator.flow.scoping import LINKED
from orchestrator.flow.summary import summary_reference
from orchestrator.flow.telling import error


def staying_problems(
    definition: WorkflowDefinition, catalog: Catalog, moved: tuple[StepDefinition, ...]
) -> Iterator[Problem]:
    """Yield what would read something else afterwards, or nothing; ``moved`` are the steps of the lane."""
    return _Staying(definition, catalog, moved).problems()


class _Staying:
    def __init__(self, definition: WorkflowDefinition, catalog: Catalog, moved: tuple[StepDefinition, ...]) -> None:
        self.definition, self.catalog, self.steps, self.last = definition, catalog, moved, moved[-1]
        self.inside = {step.key: step for _path, step in walk_steps("", moved)}

    def problems(self) -> Iterator[Problem]:
        for where, text, bare in self._texts():
            yield from self._problems_of(where, text, bare)

    def _texts(self) -> Iterator[tuple[str, str, bool]]:
        """Yield every text that stays and may hold expressions: where, and whether it is one without braces too."""
        for path, step in self.definition.walk():
            if step.key in self.inside:
                continue
            facts = self.catalog.action(step.action)
            per_item, held = (facts.per_item, (*facts.verbatim, *facts.secrets)) if facts else ((), ())
            for name, value in step.config.inputs.items():
                where = f"{path}.config.inputs.{name}"
                if name in per_item and isinstance(value, str):
                    yield where, value, True
                elif name not in held:
                    yield from ((at, text, False) for at, text in find_templates(value, where))
            if step.config.run_if is not None:
                yield f"{path}.config.run_if", step.config.run_if, True
        yield from ((at, text, False) for at, text in find_templates(self.definition.output, "output"))
        for index, trigger in enumerate(self.definition.triggers):
            for at, text in find_templates(trigger.config, f"triggers[{index}].config"):
                yield at, text, False
        for text in self.definition.settings.summary:
            if summary_reference(text) is not None:
                yield "settings.summary", text, True

    def _problems_of(self, where: str, text: str, bare: bool) -> Iterator[Problem]:
        try:
            references = compile_template(as_template(text) if bare else text).references
        except ExpressionError:
            # It reads nothing as it is: the check of a publish tells it, before and after.
            return
        for reference in references:
            if reference.root == "steps":
                yield from self._read(reference, where)
            elif reference.root == "run":
                yield from self._link(reference, where)

    def _read(self, reference: Reference, where: str) -> Iterator[Problem]:
        reader = self._reader(where)
        if not reference.parts:
            message = _(
                "%(reader)s reads a step by a name that is computed, which may be one of this lane. Write its key."
            ) % {"reader": reader}
            yield error(where, message, "computed")
            return
        key, name = str(reference.parts[0]), reference.parts[1:2]
        if key not in self.inside:
            return
        if key != self.last.key:
            or_else = (
                _(", or move %(reader)s into the lane") % {"reader": reader} if reader.startswith("steps.") else ""
            )
            message = _(
                "%(reader)s reads steps.%(key)s, and only what steps.%(last)s gives, the last of the lane, "
                "can be read from outside then. Have steps.%(last)s give it%(or_else)s."
            ) % {"reader": reader, "key": key, "last": self.last.key, "or_else": or_else}
            yield error(where, message, "read")
        elif name not in (("output",), ("status",)) or (name == ("status",) and not self._keeps_status()):
            message = _(
                "%(reader)s reads %(path)s, which would be about the call and not about steps.%(key)s "
                "itself. Read steps.%(key)s.output instead."
            ) % {"reader": reader, "path": reference.path, "key": key}
            yield error(where, message, "read")

    def _keeps_status(self) -> bool:
        """Whether the call always ends as the last step did: it is alone, and nothing hides how it ended."""
        config = self.last.config
        return len(self.steps) == 1 and not config.skip and config.run_if is None and config.on_error == "fail"

    def _link(self, reference: Reference, where: str) -> Iterator[Problem]:
        is_whole = not reference.parts or reference.parts == ("links",)
        if is_whole or reference.parts[0] == "links":
            linked = {key for key, step in self.inside.items() if step.action in LINKED}
            key = str(reference.parts[1]) if len(reference.parts) > 1 else ""
            if linked and (is_whole or key in linked):
                message = _(
                    "%(reader)s reads the link of steps.%(key)s, which would be a step of another run then. "
                    "Take that step out of the lane."
                ) % {"reader": self._reader(where), "key": key or min(linked)}
                yield error(where, message, "link")

    def _reader(self, where: str) -> str:
        """Return who reads at a path: a step by its key, else what the document calls it."""
        found = [step for path, step in self.definition.walk() if where.startswith(f"{path}.config.")]
        return f"steps.{found[-1].key}" if found else where.partition(".config")[0]
