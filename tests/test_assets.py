"""What is sent of our scripts and styles: less than their sources, and the same to a browser."""

from __future__ import annotations

import gzip
import html
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest
from django.conf import LazySettings, settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpResponseBase
from django.test import Client

from orchestrator import assets

STATIC: Final = Path(settings.BASE_DIR) / "orchestrator/static"
SOURCES: Final = sorted([*STATIC.glob("*.js"), *STATIC.glob("*.css")])


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Forget what was made with other settings, before and after."""
    assets.sent.cache_clear()
    yield
    assets.sent.cache_clear()


def body(answer: HttpResponseBase) -> bytes:
    return b"".join(answer)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_page_gets_the_minified_file_at_an_address_of_its_own(client: Client, source: Path) -> None:
    made = assets.sent(source)
    assert made is not None
    address = staticfiles_storage.url(source.name)
    assert address == f"/static/{source.name}?v={made.digest}"
    answer = client.get(address)
    assert body(answer) == made.content
    assert len(made.content) < 0.9 * source.stat().st_size
    packed = client.get(address, headers={"accept-encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    assert packed["Vary"] == "Accept-Encoding"
    assert packed["Content-Type"] == answer["Content-Type"]
    assert gzip.decompress(body(packed)) == made.content
    unchanged = client.get(address, headers={"if-none-match": answer["ETag"]})
    assert unchanged.status_code == 304
    assert client.head(address)["Content-Length"] == str(len(made.content))
    assert client.post(address).status_code == 405


def test_what_is_vendored_is_sent_as_it_is(client: Client) -> None:
    (path,) = (STATIC / "vendor").glob("htmx-*.js")
    assert assets.sent(path) is None
    assert body(client.get(f"/static/vendor/{path.name}")) == path.read_bytes()


def test_in_development_the_source_is_sent(settings: LazySettings) -> None:
    settings.DEBUG = True
    before = staticfiles_storage.url("app.js")
    assert [assets.sent(path) for path in SOURCES] == [None] * len(SOURCES)
    assert body(Client().get(before)) == (STATIC / "app.js").read_bytes()


@pytest.mark.parametrize("source", [path for path in SOURCES if path.suffix == ".js"], ids=lambda path: path.name)
def test_no_text_in_a_script_is_changed(source: Path) -> None:
    made = assets.sent(source)
    assert made is not None
    code = re.sub(r"^\s*//.*$", "", source.read_text(), flags=re.M)
    # The minifier takes a template for one text, so one inside another would come apart.
    texts = re.findall(r"`[^`]*`|\"(?:[^\"\\\n]|\\.)*\"", code)
    assert texts
    assert [text for text in texts if text not in made.content.decode()] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="node checks that a script parses")
@pytest.mark.parametrize("source", [path for path in SOURCES if path.suffix == ".js"], ids=lambda path: path.name)
def test_what_is_sent_parses(source: Path, tmp_path: Path) -> None:
    made = assets.sent(source)
    assert made is not None
    module = tmp_path / f"{source.stem}.mjs"
    module.write_bytes(made.content)
    subprocess.run(["node", "--check", str(module)], check=True)


def test_a_pages_icon_comes_with_the_page(client: Client) -> None:
    page = client.get("/sign-in/").content.decode()
    (address,) = re.findall(r'<link id="icon" rel="icon" href="data:image/svg\+xml,([^"]*)">', page)
    assert unquote(html.unescape(address)) == (STATIC / "icon.svg").read_text().strip().replace('"', "'")
