"""The two tenants of the table of who may ask which address, each with an object of each kind."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from orchestrator.tenants.models import Tenant
from runs import patience
from tests.tenants.rights.world import World, make_world


@pytest.fixture
def _alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ask no provider, and wait for no run: there is nobody to drive one."""
    settings.ENV = dataclasses.replace(settings.ENV, base_urls={"slack": "http://127.0.0.1:9/api"})
    busy = threading.BoundedSemaphore(1)
    busy.acquire()
    monkeypatch.setattr(patience, "waiting", busy)
    # Thousands of refusals, each with its traceback, would take longer than all requests.
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def ours(tenant: Tenant, _alone: None) -> World:
    return make_world(tenant, "acme")


@pytest.fixture
def theirs(other_tenant: Tenant, _alone: None) -> World:
    """A world whose every text has a word in it that nobody else says."""
    return make_world(other_tenant, "quokka")
