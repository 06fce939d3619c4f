"""What is absent while a library is loaded is there for everybody else."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.absent import without

NAME = "wsgiref.simple_server"


@pytest.fixture(autouse=True)
def _not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, NAME, raising=False)


def test_it_is_absent_inside_the_block_alone() -> None:
    with without(NAME), pytest.raises(ModuleNotFoundError, match="No module named 'wsgiref"):
        importlib.import_module(NAME)
    assert importlib.import_module(NAME).__name__ == NAME


def test_another_thread_finds_it_meanwhile() -> None:
    with without(NAME), ThreadPoolExecutor(1) as pool:
        assert pool.submit(importlib.import_module, NAME).result().__name__ == NAME


def test_what_is_loaded_already_stays() -> None:
    loaded = importlib.import_module(NAME)
    with without(NAME):
        assert importlib.import_module(NAME) is loaded
