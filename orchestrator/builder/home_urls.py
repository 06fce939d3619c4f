"""Addresses of the home page, the list of workflows and the developers' pages."""

from __future__ import annotations

from django.urls import path

from orchestrator.builder import developers, home

urlpatterns = [
    path("w/<slug:tenant>/", home.home, name="home"),
    path("w/<slug:tenant>/workflows/", home.workflows, name="workflow-list"),
    path("w/<slug:tenant>/workflows/new/", home.workflow_new, name="workflow-new"),
    path("w/<slug:tenant>/workflows/examples/", home.workflow_examples, name="workflow-examples"),
    path("w/<slug:tenant>/integrations/", developers.integrations, name="integrations"),
    path("w/<slug:tenant>/developers/", developers.developers, name="developers"),
]
