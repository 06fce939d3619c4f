"""Parts of the product that are loaded when one of their addresses is first asked for.

A process that only takes webhooks needs neither pages nor API nor admin: together they are a third of its memory, and
most of the time of its start.
"""

from __future__ import annotations

import threading
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from django.urls import URLResolver
from django.urls.resolvers import RoutePattern
from django.utils.functional import cached_property

from orchestrator.absent import IN_PARTS, without

# One for all parts: two threads that load parts which import each other could meet half-made modules.
_LOADING: Final = threading.RLock()


class LazyResolver(URLResolver):
    """An ``include`` that imports its module late. One with a namespace is not loaded by names of other parts."""

    @cached_property
    def urlconf_module(self) -> ModuleType:
        with _LOADING, without(*IN_PARTS):
            return import_module(str(self.urlconf_name))

    @property
    def is_loaded(self) -> bool:
        return "urlconf_module" in self.__dict__

    def _populate(self) -> None:
        # Called by the resolver above whenever it looks for a name, which needs none of a namespace.
        if self.namespace is None or self.is_loaded:
            super()._populate()

    @property
    def reverse_dict(self) -> Any:
        self.urlconf_module  # noqa: B018  (loads it)
        return super().reverse_dict

    @property
    def namespace_dict(self) -> Any:
        self.urlconf_module  # noqa: B018
        return super().namespace_dict

    @property
    def app_dict(self) -> Any:
        self.urlconf_module  # noqa: B018
        return super().app_dict


def lazily(route: str, module: str, *, namespace: str | None = None) -> LazyResolver:
    """Return what ``path(route, include(module))`` does, but that imports ``module`` when it is needed."""
    return LazyResolver(RoutePattern(route, is_endpoint=False), module, app_name=namespace, namespace=namespace)
