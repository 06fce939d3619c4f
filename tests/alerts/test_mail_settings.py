"""The operator's mail server, as Django gets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator import env

_SHOW = (
    "import json; from orchestrator import settings as s; "
    "print(json.dumps([s.EMAIL_HOST, s.EMAIL_PORT, s.EMAIL_HOST_USER, s.EMAIL_HOST_PASSWORD, s.EMAIL_USE_TLS, "
    "s.EMAIL_USE_SSL, s.DEFAULT_FROM_EMAIL]))"
)


def shown(folder: Path, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "PYTHONPATH": str(env.ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["", 25, "", "", False, False, "orchestrator@localhost"]),
        (
            {"EMAIL_URL": "smtp://ada%40acme.example:p%40ss@mail.acme.example?tls=1"},
            ["mail.acme.example", 587, "ada@acme.example", "p@ss", True, False, "ada@acme.example"],
        ),
        (
            {"EMAIL_URL": "smtps://key:p@mail.acme.example", "BASE_URL": "https://flows.acme.example"},
            ["mail.acme.example", 465, "key", "p", False, True, "orchestrator@flows.acme.example"],
        ),
        (
            {"EMAIL_URL": "smtp://10.0.0.5:1025", "EMAIL_FROM": "Flows <flows@acme.example>"},
            ["10.0.0.5", 1025, "", "", False, False, "Flows <flows@acme.example>"],
        ),
    ],
)
def test_a_mail_server_is_read_from_its_url(tmp_path: Path, environment: dict[str, str], expected: list[Any]) -> None:
    assert shown(tmp_path, **environment) == expected


@pytest.mark.parametrize(
    "value", ["flows", "flows@", "@acme.example", "a@b.example\nBcc: c@d.example", "a b@c.example x"]
)
def test_a_sender_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("EMAIL_FROM", value)
    env.load.cache_clear()
    try:
        with pytest.raises(env.ConfigurationError, match="EMAIL_FROM"):
            env.load()
    finally:
        monkeypatch.undo()
        env.load.cache_clear()
