"""What validation knows of the world: actions, credentials and the tenant's other workflows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.flow.names import TriggerType

CheckInputs = Callable[[Mapping[str, Any]], Sequence[tuple[str, str, str]]]


@dataclass(frozen=True, kw_only=True)
class ActionFacts:
    """What validation needs of an action. ``check_inputs`` runs its model: rows of path, message and code.

    ``lanes`` are the names of lanes it holds, empty for any, None for none; ``per_item`` the inputs that are
    expressions over items, ``verbatim`` those that hold none, ``secrets`` those that hold a credential's name in place
    of a value; ``scopes`` are what its credential has to be granted, each with its alternatives behind a ``|``.
    """

    key: str
    name: str
    provider: str
    provider_name: str
    accepted_auth: frozenset[str]
    auth_required: bool
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    check_inputs: CheckInputs
    lanes: tuple[str, ...] | None = None
    per_item: tuple[str, ...] = ()
    verbatim: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TriggerFacts:
    """What validation needs of an integration's trigger; ``output_schema`` is of one item, which is its ``body``.

    ``type`` is of the triggers that may name it: one that is asked, or one that is called.
    """

    key: str
    type: TriggerType
    name: str
    provider: str
    provider_name: str
    accepted_auth: frozenset[str]
    auth_required: bool
    output_schema: Mapping[str, Any] | None
    check_inputs: CheckInputs


class Catalog(Protocol):
    """The registry, as validation sees it."""

    def action(self, key: str) -> ActionFacts | None: ...

    def keys(self) -> Sequence[str]: ...

    def trigger(self, key: str) -> TriggerFacts | None: ...

    def trigger_keys(self) -> Sequence[str]: ...

    def has_price(self, model: str) -> bool:
        """Whether it is known what a language model costs."""


@dataclass(frozen=True, kw_only=True)
class CredentialFacts:
    """``health`` as the vault knows it: ``reconnect`` is refused or has expired, ``expiring`` soon will be.

    ``is_shared``: whoever asks may use it; ``scopes`` are what it is granted, empty where nobody knows.
    """

    provider: str
    auth_type: str
    health: str = ""
    is_shared: bool = True
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class WorkflowFacts:
    """Another workflow of the tenant, as it would run now: its published version, else its draft.

    ``has_trigger`` says whether it says how it is called; ``callers`` are the slugs that may, None for all; ``calls``
    the slugs it calls. What lies beyond the workflows that are called may be left at its defaults.
    """

    name: str
    published: bool = True
    has_trigger: bool = False
    callers: tuple[str, ...] | None = None
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    calls: tuple[str, ...] = ()


def scopes_missing(wanted: Iterable[str], granted: Collection[str]) -> list[str]:
    """Return the scopes that were not granted; none where it is not known what was."""
    return [scope for scope in wanted if granted and not set(granted) & set(scope.split("|"))]
