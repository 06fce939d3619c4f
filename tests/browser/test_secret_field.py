"""A secret in a step's form: made from its field, chosen by name, saved by itself, and all of it without a script."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, product, step, wait_for, workflow

pytestmark = pytest.mark.browser
VALUE: Final = "canary-4711-0815"
LITERAL: Final = "canary-literal-4712"
# An installed package, as anybody's: a module, and the entry point that names it.
PACKAGE: Final = {
    "locked.py": '''
from pydantic import BaseModel, Field
from integrations.sdk import Provider, RunContext, action, ui

locked = Provider(key="locked", name="Locked")


class Inputs(BaseModel):
    token: str = Field(title="Door code", description="The code of the door.", json_schema_extra=ui(secret=True))
    note: str = Field("", title="Note")


@action(provider=locked, key="locked.open", name="Open", auth_type="none", input_schema=Inputs, http=False)
async def unlock(ctx: RunContext[Inputs]) -> dict:
    """Open a door."""
    return {"told": f"opened with {ctx.inputs.token}", "length": len(ctx.inputs.token)}
''',
    "locked-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: locked\nVersion: 1.0\n",
    "locked-1.0.dist-info/entry_points.txt": "[orchestrator.integrations]\nlocked = locked\n",
}


@dataclass(frozen=True, kw_only=True)
class World:
    found: Product
    page: Page

    def step(self, name: str, token: Any) -> str:
        """Return the address of a new workflow's step that opens a door."""
        made = self.found.api(
            "POST", "workflows/", json=workflow(name, [step("open", "locked.open", {"token": token})])
        )["id"]
        return f"{self.found.address}/w/demo/workflows/{made}/steps/open/"

    def stored(self, address: str) -> Any:
        return self.found.api("GET", f"workflows/{address.split('/')[-4]}/")["steps"][0]["config"].get("inputs", {})


@pytest.fixture(scope="module")
def world(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("package")
    for name, text in PACKAGE.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    paths = [str(folder), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    with product(PYTHONPATH=os.pathsep.join(filter(None, paths))) as found:
        found.up()
        with opened(browser, quiet=False, reduced_motion="reduce") as page:
            sign_in(page, found.address, PASSWORD)
            yield World(found=found, page=page)


def looked_at(page: Page) -> list[str]:
    """Return what axe finds on the page as it stands, in every theme and width."""
    found = []
    for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        found += axe_findings(page)
        if folder := os.environ.get("SCREENSHOTS"):
            page.locator('[data-field="token"]').scroll_into_view_if_needed()
            page.screenshot(path=f"{folder}/secret-{scheme}-{width}.png")
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.set_viewport_size({"width": 1440, "height": 900})
    return found


def make(page: Page, name: str) -> None:
    """Fill in the form of a new secret, and save it."""
    page.locator("#f-secret-api_key").fill(VALUE)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save").click()


def test_a_secret_is_made_from_its_field_chosen_and_used(world: World) -> None:
    page, address = world.page, world.step("Doors", LITERAL)
    page.goto(address)
    assert LITERAL not in page.content()
    expect(page.locator('[data-error="token"]')).to_contain_text("Save it as a secret and choose it here.")
    assert looked_at(page) == []
    page.locator('[data-field="token"]').get_by_role("link", name="New secret…").click()
    make(page, "front door")
    page.wait_for_url(f"{address}#field-token")
    choice = page.get_by_label("Door code")
    expect(choice).to_have_value("front door")
    expect(choice).to_be_focused()
    assert VALUE not in page.content()
    assert world.stored(address) == {"token": {"credential": "front door"}}
    assert looked_at(page) == []
    choice.select_option("")
    expect(page.locator('[data-error="token"]')).to_have_text("Fill this in.")
    assert world.stored(address) == {}
    choice.select_option("front door")
    expect(page.locator('[data-error="token"]')).to_be_hidden()
    wait_for(lambda: world.stored(address) == {"token": {"credential": "front door"}}, seconds=5, what="the save")
    page.get_by_role("button", name="Test step").click()
    expect(page.get_by_text("Test passed")).to_be_visible()
    assert VALUE not in page.content()
    assert "opened with ••••••" in page.content()
    assert str(len(VALUE)) in page.content()


def test_it_works_without_a_script(world: World) -> None:
    address = world.step("Plain", {"credential": "gone"})
    browser = world.page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    cookies: Any = world.page.context.cookies()
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_label("Door code")).to_have_value("gone")
    page.locator('[data-field="token"]').get_by_role("link", name="New secret…").click()
    make(page, "back door")
    expect(page.get_by_label("Door code")).to_have_value("back door")
    page.get_by_label("Door code").select_option("")
    page.locator("[data-save]").click()
    assert world.stored(address) == {}
    context.close()
