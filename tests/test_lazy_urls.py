"""Parts that are loaded late resolve and are named as if they had been included."""

from __future__ import annotations

import sys
import types

import pytest
from django.urls import NoReverseMatch, URLResolver, path, reverse
from django.urls.exceptions import Resolver404
from django.urls.resolvers import RegexPattern
from django.views import View

from orchestrator.lazy_urls import LazyResolver, lazily

NAME = "tests.a_late_part"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of addresses that is not imported yet."""
    module = types.ModuleType(NAME)
    module.urlpatterns = [path("<int:pk>/", View.as_view(), name="thing")]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, NAME, module)


def root(*parts: LazyResolver) -> URLResolver:
    return URLResolver(RegexPattern(r"^/"), list(parts))


@pytest.mark.usefixtures("part")
def test_an_address_loads_the_part_that_it_leads_to_and_no_other() -> None:
    mine, other = lazily("mine/", NAME), lazily("other/", "no.such.module")
    found = root(other, mine).resolve("/mine/7/")
    assert (found.kwargs, found.url_name, mine.is_loaded, other.is_loaded) == ({"pk": 7}, "thing", True, False)
    with pytest.raises(Resolver404):
        root(mine).resolve("/mine/x/")


@pytest.mark.usefixtures("part")
def test_a_name_is_looked_for_in_parts_without_a_namespace_alone() -> None:
    mine, other = lazily("mine/", NAME), lazily("other/", "no.such.module", namespace="other")
    assert root(other, mine).reverse("thing", pk=7) == "mine/7/"
    assert not other.is_loaded


@pytest.mark.usefixtures("part")
def test_names_within_a_namespace_load_it() -> None:
    mine = lazily("mine/", NAME, namespace="mine")
    above = root(mine)
    assert above.app_dict["mine"] == ["mine"]
    prefix, found = above.namespace_dict["mine"]
    assert (prefix, found) == ("mine/", mine)
    assert not mine.is_loaded
    assert "thing" in found.reverse_dict
    assert mine.is_loaded
    assert (found.namespace_dict, found.app_dict) == ({}, {})


def test_the_products_own_names_lead_where_they_did() -> None:
    assert reverse("admin:index") == "/admin/"
    assert reverse("admin:workflows_workflow_change", args=[7]) == "/admin/workflows/workflow/7/change/"
    assert reverse("api-description:api-schema") == "/api/schema/"
    assert reverse("sign-in") == "/sign-in/"
    with pytest.raises(NoReverseMatch):
        reverse("admin:nothing")
