"""What the builder's templates are handed: the parts of the page, ready to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from orchestrator.builder import step_form
from orchestrator.types import JSONValue
from runs.states import StepStatus

# Names of the controls of a step's failure rule.
RULE_FIELDS: Final = ("retry", "retry_attempts", "retry_delay", "retry_backoff", "timeout", "on_error", "run_if")


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A lane of a step, with what is in it."""

    words: str
    cards: tuple[Card, ...]
    add_url: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One step of the outline. ``status`` is that of its last attempt, not_tested or attention.

    ``after`` are the words beside the place behind a step that holds lanes.
    """

    number: int
    key: str
    title: str
    words: str
    tile: str
    url: str
    add_url: str
    status: str
    fact: str
    selected: bool
    lanes: tuple[Lane, ...] = ()
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class LaneRow:
    """A lane that can be renamed and removed; ``count`` steps are in it, and ``asks`` whether they may go too."""

    name: str
    words: str
    count: int
    asks: bool


@dataclass(frozen=True, kw_only=True)
class LanePanel:
    """The lanes of a step that can be changed: the cases of a switch, or what runs side by side.

    Without ``is_free`` they are lanes that the step should not have, which can only be removed.
    """

    rows: tuple[LaneRow, ...]
    is_free: bool
    is_switch: bool
    may_add_default: bool


@dataclass(frozen=True, kw_only=True)
class TriggerCard:
    number: int
    key: str
    title: str
    words: str
    tile: str
    url: str
    selected: bool


@dataclass(frozen=True, kw_only=True)
class CredentialChoice:
    name: str
    words: str
    selected: bool


@dataclass(frozen=True, kw_only=True)
class Result:
    """The last attempt of a step: where it stands, and what it got and gave."""

    status: str
    word: str
    took: str
    at: datetime
    message: str
    hint: str
    again: str
    resolved: str
    inputs: JSONValue
    output: JSONValue
    is_large: bool
    log: tuple[str, ...]
    run_url: str

    @property
    def is_running(self) -> bool:
        return self.status == StepStatus.RUNNING


@dataclass(frozen=True, kw_only=True)
class StepPanel:
    """The form of one step; ``loop`` is the name of the innermost loop around it.

    ``unused`` are options that mean nothing on this step, with what is meant instead.
    """

    key: str
    number: int
    title: str
    name: str
    words: str
    action: str
    description: str
    tile: str
    registered: bool
    takes_credential: bool
    credential_required: bool
    credentials: tuple[CredentialChoice, ...]
    new_credential_url: str
    provider_name: str
    fields: tuple[step_form.Field, ...]
    folded: tuple[step_form.Field, ...]
    folded_open: bool
    rule_texts: Mapping[str, str]
    seen: str
    rule: str
    unused: Mapping[str, str]
    unused_is_set: bool
    notes: str
    problems: tuple[Finding, ...]
    sends: bool
    result: Result | None
    lanes: LanePanel | None
    loop: str
    previous_url: str
    next_url: str
    error: str = ""
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def rule_open(self) -> bool:
        return self.unused_is_set or any(name in self.told for name in RULE_FIELDS)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A problem of a step: ``field`` is empty when it is of the step as a whole."""

    field: str
    label: str
    message: str
    blocks: bool


@dataclass(frozen=True, kw_only=True)
class TriggerPanel:
    key: str
    type: str
    title: str
    words: str
    address: str
    methods: tuple[tuple[str, bool], ...]
    live: bool
    problems: tuple[Finding, ...]
    sample: str
    config: Mapping[str, JSONValue]
    error: str = ""
