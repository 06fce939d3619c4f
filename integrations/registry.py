"""The registry of actions: explicit, loud on duplicates, frozen once loaded.

``registry.load()`` imports our own steps, the library and what other packages offer under the entry-point group
``orchestrator.integrations``, and collects what each module declared. Nothing registers by being imported elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, TypedDict

import httpx

from integrations.sdk.action import DECLARED, Action
from integrations.sdk.provider import Provider

ENTRY_POINTS: Final = "orchestrator.integrations"
ANY_HOST_PROVIDER: Final = "http"


class RegistryError(Exception):
    """The registry cannot be loaded; the message names the module and what is wrong with it."""


class DuplicateKey(RegistryError):
    """Two places declare the same key; the message names both."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """What is registered; adding makes a new table, so readers never see a half-made one."""

    actions: Mapping[str, Action] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)

    def plus(self, actions: Iterable[Action]) -> _Table:
        by_key, providers = dict(self.actions), dict(self.providers)
        for action in actions:
            known = by_key.setdefault(action.key, action)
            if known is not action:
                raise DuplicateKey(
                    f"The action {action.key!r} is declared twice, at {known.origin} and {action.origin}: rename one."
                )
            provider = providers.setdefault(action.provider.key, action.provider)
            if provider is not action.provider:
                raise DuplicateKey(
                    f"The provider {provider.key!r} is declared twice, at {provider.origin} and at "
                    f"{action.provider.origin}: import the first, or rename one."
                )
        return _Table(actions=by_key, providers=providers)


class Registry:
    """Actions and providers by key. Reading loads it; after that only ``temporarily`` adds."""

    def __init__(self) -> None:
        self._table: _Table | None = None
        self._lock = threading.RLock()

    def load(self) -> None:
        """Import and collect everything, once. Raises RegistryError naming the module, or DuplicateKey."""
        with self._lock:
            if self._table is None:
                self._table = _Table().plus(action for module in _modules() for action in declared_in(module))

    def get(self, key: str) -> Action | None:
        return self._loaded().actions.get(key)

    def actions(self) -> tuple[Action, ...]:
        """Return every action, by key."""
        table = self._loaded().actions
        return tuple(table[key] for key in sorted(table))

    def providers(self) -> tuple[Provider, ...]:
        """Return every provider that has an action, by key."""
        table = self._loaded().providers
        return tuple(table[key] for key in sorted(table))

    def provider(self, key: str) -> Provider | None:
        return self._loaded().providers.get(key)

    @contextmanager
    def temporarily(self, *actions: Action) -> Iterator[None]:
        """Add actions for the length of a ``with`` block. Raises DuplicateKey as a start would."""
        with self._lock:
            before = self._loaded()
            self._table = before.plus(actions)
        try:
            yield
        finally:
            with self._lock:
                self._table = before

    def unknown_overrides(self, overrides: Iterable[str]) -> tuple[str, ...]:
        """Return the keys that name neither a provider nor an OAuth family: worth a warning to the operator."""
        known = {name for provider in self.providers() for name in (provider.key, provider.oauth_family)}
        return tuple(key for key in overrides if key not in known)

    def _loaded(self) -> _Table:
        if self._table is None:
            self.load()
        assert self._table is not None
        return self._table


def base_url_for(provider: Provider, overrides: Mapping[str, str]) -> str:
    """Return the root to call: the operator's for the provider, else for its OAuth family, else the canonical one."""
    family = provider.oauth_family or ""
    return (overrides.get(provider.key) or overrides.get(family) or provider.base_url).rstrip("/")


class HttpOptions(TypedDict):
    """What ``HttpPool.client`` needs to know about an action and its credential."""

    base_url: str
    authorize: Callable[[httpx.Request], None] | None
    auth_hosts: Sequence[str] | None


def http_options(
    action: Action, auth: Mapping[str, Any], settings: Mapping[str, Any], overrides: Mapping[str, str]
) -> HttpOptions:
    """Return root, credential and the hosts that get it for one attempt.

    A credential goes to the hosts of its own provider, whatever action it is used in; one of provider ``http`` to the
    ``hosts`` in its settings, if any, else wherever the step sends it.
    """
    base_url = base_url_for(action.provider, overrides)
    owner = registry.provider(str(auth.get("provider", ""))) or action.provider
    listed = settings.get("hosts")
    hosts: Sequence[str] | None
    if owner.key == ANY_HOST_PROVIDER:
        hosts = tuple(listed) if listed else None
    else:
        hosts = owner.credential_hosts(base_url_for(owner, overrides))
        hosts = None if not hosts and owner is action.provider else hosts
    return HttpOptions(base_url=base_url, authorize=owner.authorizer(auth, settings), auth_hosts=hosts)


def declared_in(module: ModuleType) -> list[Action]:
    """Return the actions declared in a module or, for a package, in what it imported of itself, once each."""
    prefix = f"{module.__name__}."
    inner = [found for name, found in sorted(sys.modules.items()) if name.startswith(prefix) and found is not None]
    actions: dict[int, Action] = {}
    for part in (module, *inner):
        own = [value for value in vars(part).values() if isinstance(value, Action)]
        actions.update((id(action), action) for action in (*vars(part).get(DECLARED, ()), *own))
    return list(actions.values())


def load_module(name: str) -> ModuleType:
    """Import a module that declares actions and, beside a package's declaration, its ``actions``.

    Raises RegistryError naming the module and the error.
    """
    try:
        module = importlib.import_module(name)
        if hasattr(module, "__path__") and importlib.util.find_spec(f"{name}.actions") is not None:
            importlib.import_module(f"{name}.actions")
    except Exception as error:
        raise RegistryError(f"The integration module {name!r} cannot be loaded: {error!r}") from error
    return module


def _modules() -> Iterator[ModuleType]:
    for package in ("integrations.builtin", "integrations.providers"):
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            yield load_module(found.name)
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS)):
        yield load_module(entry.module)


registry = Registry()
