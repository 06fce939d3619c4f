"""The values that a workflow's runs show of themselves in a list: paths to what came with a run or what a step gave."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from orchestrator.flow.compiler import Reference
from orchestrator.flow.expressions import ExpressionError, compile_template

# How many a workflow has at the most.
MOST_PATHS: Final = 3


@lru_cache(maxsize=2_000)
def summary_reference(text: str) -> Reference | None:
    """Return what a path like ``trigger.body.email`` or ``steps.company.output.name`` refers to.

    None for whatever is no path, or leads elsewhere: to a variable, to a step's error.
    """
    try:
        reference = compile_template(f"{{{{ {text} }}}}").sole_reference
    except ExpressionError:
        return None
    if reference is None or (reference.root == "trigger" and not reference.parts):
        return None
    if reference.root == "steps" and (len(reference.parts) < 2 or reference.parts[1] != "output"):
        return None
    return reference if reference.root in ("trigger", "steps") else None


def summary_label(reference: Reference) -> str:
    """Return what the value is called: the last name of its path, for a step's whole output the step's key."""
    names = [part for part in reference.parts if isinstance(part, str)]
    return names[0] if reference.root == "steps" and len(names) == 2 else names[-1]
