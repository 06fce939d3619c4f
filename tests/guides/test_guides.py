"""Both guides lead to an action that runs in a published workflow: whoever does what they say gets there."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import site
import sqlite3
import subprocess
import sysconfig
import venv
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from orchestrator.builder.examples import weather
from orchestrator.tenants.models import Role, Tenant
from tests.guides.reading import Step, section, steps
from tests.guides.walk import KEY
from tests.product import ROOT

LINES: Final = 25
FORECAST: Final = {"temperature": 17.5, "summary": "Rain in Rotterdam"}


@dataclass(frozen=True, kw_only=True)
class Walked:
    """What who followed the guides has seen, and the checkout as they left it."""

    checkout: Path
    said: dict[str, str]
    menus: dict[str, bool]
    outputs: dict[str, Any]
    asked: list[str]


@pytest.fixture
def guides(db: None, client: Client, make_member: Callable[..., User]) -> list[list[Step]]:
    """Return the steps of the two guides, as the pages of the tenant ``demo`` show them."""
    tenant = Tenant.objects.create(slug="demo", name="Demo")
    client.force_login(make_member(tenant, Role.EDITOR))
    start = client.get(reverse("developers", args=["demo"])).text
    library = client.get(reverse("developers-library", args=["demo"])).text
    return [steps(section(start, "quick-start")), steps(section(library, "steps")), steps(section(library, "package"))]


@pytest.fixture
def walked(guides: list[list[Step]], tmp_path: Path) -> Walked:
    checkout = tmp_path / "checkout"
    _check_out(checkout)
    python = _python_of_their_own(tmp_path / "python")
    data = tmp_path / "data"
    data.mkdir()
    _migrated(data / "orchestrator.sqlite3")
    done = subprocess.run(
        [str(python), "-m", "tests.guides.walk", json.dumps({"guides": guides})],
        cwd=checkout,
        env=_environment(checkout, python, data),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return Walked(checkout=checkout, **json.loads(done.stdout.splitlines()[-1]))


def _check_out(folder: Path) -> None:
    """Copy what is tracked, or would be, to a folder; all but what is made where nothing tells what is tracked."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.copytree(
            ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv*", "var", "__pycache__", "*.egg-info")
        )
        return
    for name in done.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def _python_of_their_own(folder: Path) -> Path:
    """Make an environment to install into, which sees the packages of this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in sorted(seen))
    (packages / "of_the_suite.pth").write_text(lines)
    return folder / "bin" / "python"


def _migrated(path: Path) -> None:
    """Copy the suite's own database, which is empty and migrated; elsewhere ``setup`` makes it."""
    if connection.vendor == "sqlite":
        with sqlite3.connect(connection.settings_dict["NAME"]) as own:
            own.execute("VACUUM INTO ?", [str(path)])
        own.close()


def _environment(checkout: Path, python: Path, data: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(checkout),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "DATA_DIR": str(data),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "VAULT_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "ORCHESTRATOR_ADMIN_PASSWORD": secrets.token_urlsafe(20),
    }


def test_the_example_is_a_whole_integration_in_25_lines() -> None:
    source = Path(str(weather.__file__)).read_text(encoding="utf-8")
    assert len([line for line in source.splitlines() if line.strip()]) <= LINES


def test_whoever_follows_the_guides_has_actions_that_run_in_published_workflows(walked: Walked) -> None:
    assert walked.outputs["weather.forecast"] == FORECAST
    assert walked.outputs["parcels.getItem"]["id"] == "42"
    assert walked.outputs["acme_parcels.getItem"]["name"] == "A box"
    assert all(walked.menus.values())
    # Each was asked by `try` or by the workflow, and nothing else went out.
    assert {path.split("/")[1] for path in walked.asked} == {"weather", "parcels", "acme_parcels"}
    said = {command.removeprefix("python manage.py integration "): text for command, text in walked.said.items()}

    def of(start: str) -> str:
        (found,) = (text for command, text in said.items() if command.startswith(start))
        return found

    assert json.loads(of("try weather.forecast")) == FORECAST
    assert of("lint weather") == "1 action, nothing to correct.\n"
    assert of("lint parcels") == "1 action, nothing to correct.\n"
    assert "silver" in of("list --quality --provider parcels")
    assert "acme_parcels.getItem" in of("list --provider acme_parcels")
    assert " passed" in of("python -m pytest tests/providers/test_parcels.py")
    recorded = (walked.checkout / "tests/contract/exchanges/parcels.getItem.json").read_text()
    assert KEY not in recorded
    assert json.loads(recorded)["answer"]["name"] == "A box"
    assert KEY not in json.dumps(walked.said)
