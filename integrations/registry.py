"""The registry of actions and triggers: explicit, loud on duplicates, frozen once loaded.

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
from functools import cached_property
from types import MappingProxyType, ModuleType
from typing import Any, Final, TypeAlias, TypedDict

import httpx

from integrations.builtin.secret import secret
from integrations.builtin.webhook import webhook as requests
from integrations.sdk.action import DECLARED, Action
from integrations.sdk.declaration import Declaration
from integrations.sdk.polling import PollingTrigger
from integrations.sdk.provider import Provider
from integrations.sdk.webhook import WebhookTrigger

# What starts workflows: asked now and then, or called.
Trigger: TypeAlias = PollingTrigger | WebhookTrigger

ENTRY_POINTS: Final = "orchestrator.integrations"
ANY_HOST_PROVIDER: Final = "http"
# What is imported beside a package's declaration, where it is there.
PARTS: Final = ("actions", "triggers")
# Providers without actions of their own: credentials are made for them, and used by steps of others.
_BESIDE: Final = {provider.key: provider for provider in (secret, requests)}


class RegistryError(Exception):
    """The registry cannot be loaded; the message names the module and what is wrong with it."""


class DuplicateKey(RegistryError):
    """Two places declare the same key; the message names both."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """What is registered; adding makes a new table, so readers never see a half-made one."""

    declared: Mapping[str, Declaration] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)

    @cached_property
    def actions(self) -> Mapping[str, Action]:
        return {key: each for key, each in sorted(self.declared.items()) if isinstance(each, Action)}

    @cached_property
    def triggers(self) -> Mapping[str, Trigger]:
        return {key: each for key, each in sorted(self.declared.items()) if isinstance(each, Trigger)}

    def plus(self, declared: Iterable[Declaration]) -> _Table:
        by_key, providers = dict(self.declared), dict(self.providers)
        for each in declared:
            known = by_key.setdefault(each.key, each)
            if known is not each:
                what = "trigger" if isinstance(each, Trigger) else "action"
                raise DuplicateKey(
                    f"The {what} {each.key!r} is declared twice, at {known.origin} and {each.origin}: rename one."
                )
            provider = providers.setdefault(each.provider.key, each.provider)
            if provider is not each.provider:
                raise DuplicateKey(
                    f"The provider {provider.key!r} is declared twice, at {provider.origin} and at "
                    f"{each.provider.origin}: import the first, or rename one."
                )
        return _Table(declared=by_key, providers=providers)


class Registry:
    """Actions, triggers and providers by key. Reading loads it; after that only ``temporarily`` adds."""

    def __init__(self) -> None:
        self._table: _Table | None = None
        self._lock = threading.RLock()

    def load(self) -> None:
        """Import and collect everything, once. Raises RegistryError naming the module, or DuplicateKey."""
        with self._lock:
            if self._table is None:
                self._table = _Table(providers=_BESIDE).plus(
                    each for module in _modules() for each in all_declared_in(module)
                )

    def get(self, key: str) -> Action | None:
        return self._loaded().actions.get(key)

    def actions(self) -> tuple[Action, ...]:
        """Return every action, by key."""
        return tuple(self._loaded().actions.values())

    def trigger(self, key: str) -> Trigger | None:
        """Return the trigger of either kind that has a key."""
        return self._loaded().triggers.get(key)

    def polling(self, key: str) -> PollingTrigger | None:
        """Return the trigger that is asked now and then."""
        found = self.trigger(key)
        return found if isinstance(found, PollingTrigger) else None

    def webhook(self, key: str) -> WebhookTrigger | None:
        """Return the trigger that the other side calls."""
        found = self.trigger(key)
        return found if isinstance(found, WebhookTrigger) else None

    def triggers(self) -> tuple[Trigger, ...]:
        """Return every trigger of either kind, by key."""
        return tuple(self._loaded().triggers.values())

    def providers(self) -> tuple[Provider, ...]:
        """Return every provider that has an action or trigger, or whose credentials others' take, by key."""
        table = self._loaded().providers
        return tuple(table[key] for key in sorted(table))

    def provider(self, key: str) -> Provider | None:
        return self._loaded().providers.get(key)

    @contextmanager
    def temporarily(self, *declared: Declaration) -> Iterator[None]:
        """Add actions and triggers for the length of a ``with`` block. Raises DuplicateKey as a start would."""
        with self._lock:
            before = self._loaded()
            self._table = before.plus(declared)
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


def base_url_for(
    provider: Provider, overrides: Mapping[str, str], settings: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Return the root to call: the operator's for the provider, else for its OAuth family, else its own.

    ``settings`` are the credential's, which name the site of a provider that has no root. Raises AuthError for none.
    """
    family = provider.oauth_family or ""
    return (overrides.get(provider.key) or overrides.get(family) or provider.root(settings)).rstrip("/")


class HttpOptions(TypedDict):
    """What ``HttpPool.client`` needs to know about an action and its credential."""

    base_url: str
    authorize: Callable[[httpx.Request], None] | None
    auth_hosts: Sequence[str] | None


def http_options(
    action: Declaration, auth: Mapping[str, Any], settings: Mapping[str, Any], overrides: Mapping[str, str]
) -> HttpOptions:
    """Return root, credential and the hosts that get it for one attempt.

    A credential goes to the hosts of its own provider, whatever action it is used in; one of provider ``http`` to the
    ``hosts`` in its settings, if any, else wherever the step sends it. Raises AuthError as ``base_url_for``.
    """
    base_url = base_url_for(action.provider, overrides, settings)
    owner = registry.provider(str(auth.get("provider", ""))) or action.provider
    listed = settings.get("hosts")
    hosts: Sequence[str] | None
    if owner.key == ANY_HOST_PROVIDER:
        hosts = tuple(listed) if listed else None
    else:
        hosts = owner.credential_hosts(base_url_for(owner, overrides, settings))
        hosts = None if not hosts and owner is action.provider else hosts
    return HttpOptions(base_url=base_url, authorize=owner.authorizer(auth, settings), auth_hosts=hosts)


def declared_in(module: ModuleType) -> list[Action]:
    """Return the actions declared in a module or, for a package, in what it imported of itself, once each."""
    return [each for each in all_declared_in(module) if isinstance(each, Action)]


def all_declared_in(module: ModuleType) -> list[Declaration]:
    """Return the same, triggers included."""
    prefix = f"{module.__name__}."
    inner = [found for name, found in sorted(sys.modules.items()) if name.startswith(prefix) and found is not None]
    found: dict[int, Declaration] = {}
    for part in (module, *inner):
        own = [value for value in vars(part).values() if isinstance(value, Declaration)]
        found.update((id(each), each) for each in (*vars(part).get(DECLARED, ()), *own))
    return list(found.values())


def load_module(name: str) -> ModuleType:
    """Import a module that declares something and, beside a package's declaration, its ``actions`` and ``triggers``.

    Raises RegistryError naming the module and the error.
    """
    try:
        module = importlib.import_module(name)
        for part in PARTS if hasattr(module, "__path__") else ():
            if importlib.util.find_spec(f"{name}.{part}") is not None:
                importlib.import_module(f"{name}.{part}")
    except Exception as error:
        raise RegistryError(
            f"The integration module {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return module


def _modules() -> Iterator[ModuleType]:
    for package in ("integrations.builtin", "integrations.providers"):
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            yield load_module(found.name)
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS)):
        yield load_module(entry.module)


registry = Registry()
