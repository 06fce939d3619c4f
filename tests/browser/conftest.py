"""A browser, and a product that is up, shared by the tests that need nothing of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.product import Product, product
from tests.upstream import Upstream, upstream


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def called() -> Iterator[Upstream]:
    """What the product may call."""
    with upstream() as found:
        yield found


@pytest.fixture(scope="package")
def found(called: Upstream) -> Iterator[Product]:
    with product(EGRESS_ALLOW=called.address.removeprefix("http://")) as made:
        made.up()
        yield made
