"""What the builder's templates are handed: the parts of the page, ready to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator.builder import step_form
from orchestrator.builder.called import Called
from orchestrator.builder.connect import Connect
from orchestrator.builder.entrance_form import EntranceForm
from orchestrator.builder.folding import Fold
from orchestrator.builder.form_form import FormForm
from orchestrator.builder.listening import Listening
from orchestrator.builder.polling_form import Polled, PollingForm
from orchestrator.builder.results import Result
from orchestrator.builder.schedule_form import ScheduleForm
from orchestrator.builder.subscribed import Subscribed
from orchestrator.builder.webhook_form import WebhookForm
from orchestrator.types import JSONValue
from orchestrator.vault.faces import HealthFace
from runs.models import Run

# Names of the controls of a step's failure rule.
RULE_FIELDS: Final = ("retry", "retry_attempts", "retry_delay", "retry_backoff", "timeout", "on_error", "run_if")


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A lane of a step, with what is in it."""

    words: str
    cards: tuple[Card, ...]
    add_url: str
    place: str
    fold: Fold


@dataclass(frozen=True, kw_only=True)
class Card:
    """One step of the outline. ``status`` is that of its last attempt, not_tested or attention.

    ``after`` are the words beside the place behind a step that holds lanes; ``fold`` is of all its lanes, where there
    are several; ``others`` are the names of those who edit it just now; ``extract_url`` is where lanes that lie deep
    are moved into their own workflow.
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
    skips: bool = False
    lanes: tuple[Lane, ...] = ()
    fold: Fold | None = None
    others: tuple[str, ...] = ()
    after: str = ""
    extract_url: str = ""


@dataclass(frozen=True, kw_only=True)
class LaneRow:
    """A lane that can be renamed and removed; ``count`` steps are in it, and ``asks`` whether they may go too.

    ``extract_url`` is where it is moved into its own workflow, empty while it holds no step.
    """

    name: str
    words: str
    count: int
    asks: bool
    extract_url: str = ""


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
class Start:
    """A usual first step: an action of the registry under the words for what one wants."""

    action: str
    words: str


@dataclass(frozen=True, kw_only=True)
class CredentialChoice:
    """A credential to choose; ``health`` is None for one that is not there."""

    name: str
    words: str
    selected: bool
    health: HealthFace | None = None
    pk: int = 0


@dataclass(frozen=True, kw_only=True)
class Mending:
    """A run that stopped, whose step is being mended: from where it can go on with the draft, and its address."""

    run: Run
    from_path: str
    url: str


@dataclass(frozen=True, kw_only=True)
class FieldFold:
    """Fields that are folded away together; without a ``title`` they are simply the further ones."""

    title: str
    fields: tuple[step_form.Field, ...]

    @property
    def is_open(self) -> bool:
        return any(each.is_filled or each.error for each in self.fields)


@dataclass(frozen=True, kw_only=True)
class StepPanel:
    """The form of one step; ``loop`` is the name of the innermost loop around it, ``tool_of`` of the agent it serves.

    ``extract_url`` is where a lane of it is moved into its own workflow, empty while none holds a step, and
    ``describes_url`` where an HTTP step is filled in from a description; ``compare_url`` leads
    to its call beside HTTP.

    ``unused`` are options that mean nothing on this step, with what is meant instead; ``told`` says what is wrong by
    field, which for those that are ``warned`` stops nothing.
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
    connect: Connect | None
    provider_name: str
    fields: tuple[step_form.Field, ...]
    folded: tuple[step_form.Field, ...]
    rule_texts: Mapping[str, str]
    seen: str
    rule: str
    unused: Mapping[str, str]
    unused_is_set: bool
    skips: bool
    copied: str
    mending: Mending | None
    notes: str
    problems: tuple[Finding, ...]
    sends: bool
    result: Result | None
    lanes: LanePanel | None
    called: Called | None
    extract_url: str
    describes_url: str
    compare_url: str
    tool_of: str
    loop: str
    previous_url: str
    next_url: str
    error: str = ""
    told: Mapping[str, str] = field(default_factory=dict)
    warned: frozenset[str] = frozenset()

    @property
    def has_credential(self) -> bool:
        return any(choice.selected for choice in self.credentials)

    @property
    def folds(self) -> list[FieldFold]:
        """Return the folded fields, those without a title first."""
        titles = sorted({field.group for field in self.folded}, key=lambda title: (title != "", title))
        return [
            FieldFold(title=title, fields=tuple(field for field in self.folded if field.group == title))
            for title in titles
        ]

    @property
    def has_code(self) -> bool:
        return any(field.language for field in (*self.fields, *self.folded))

    @property
    def rule_open(self) -> bool:
        return self.unused_is_set or any(name in self.told for name in RULE_FIELDS)

    @property
    def credential_is_wrong(self) -> bool:
        return "credential" in self.told and "credential" not in self.warned


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A problem of a step: ``field`` is empty when it is of the step as a whole."""

    field: str
    label: str
    message: str
    blocks: bool


def told_by_field(findings: Sequence[Finding]) -> tuple[dict[str, str], frozenset[str]]:
    """Return the first message of each field, what blocks before warnings, and the fields that have but warnings."""
    first = {each.field: each for blocks in (False, True) for each in reversed(findings) if each.blocks is blocks}
    found = {name: each for name, each in first.items() if name}
    warned = frozenset(name for name, each in found.items() if not each.blocks)
    return {name: each.message for name, each in found.items()}, warned


@dataclass(frozen=True, kw_only=True)
class TriggerPanel:
    key: str
    type: str
    title: str
    words: str
    address: str
    form: WebhookForm | None
    schedule: ScheduleForm | None
    made: FormForm | None
    polling: PollingForm | None
    polled: Polled | None
    subscribed: Subscribed | None
    entrance: EntranceForm | None
    gap: str
    invalid: tuple[str, str]
    live: bool
    problems: tuple[Finding, ...]
    sample: str
    curl: str
    config: Mapping[str, JSONValue]
    listening: Listening
    error: str = ""
