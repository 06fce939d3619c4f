"""Addresses of the home page, search, the list of workflows, the catalogue and the developers' pages."""

from __future__ import annotations

from django.urls import path

from orchestrator.builder import (
    catalogue,
    developers,
    events_page,
    files,
    home,
    library_page,
    sdk_pages,
    search,
    starts,
    workflow_rows,
)

urlpatterns = [
    path("w/<slug:tenant>/", home.home, name="home"),
    path("w/<slug:tenant>/workflows/", workflow_rows.workflows, name="workflow-list"),
    path("w/<slug:tenant>/workflows/new/", starts.workflow_new, name="workflow-new"),
    path("w/<slug:tenant>/workflows/import/", files.workflow_take_in, name="workflow-import"),
    path("w/<slug:tenant>/workflows/examples/", starts.workflow_examples, name="workflow-examples"),
    path("w/<slug:tenant>/search/", search.search, name="search"),
    path("w/<slug:tenant>/integrations/", catalogue.integrations, name="integrations"),
    path("w/<slug:tenant>/integrations/<str:provider>/", catalogue.integration_provider, name="integration-provider"),
    path(
        "w/<slug:tenant>/integrations/<str:provider>/<str:action>/",
        catalogue.integration_action,
        name="integration-action",
    ),
    path("w/<slug:tenant>/developers/", developers.developers, name="developers"),
    path("w/<slug:tenant>/developers/events/", events_page.events, name="developers-events"),
    path("w/<slug:tenant>/developers/library/", library_page.library, name="developers-library"),
    path("w/<slug:tenant>/developers/reference/", sdk_pages.reference, name="developers-reference"),
    path("w/<slug:tenant>/developers/reference.txt", sdk_pages.reference_text, name="developers-text"),
]
