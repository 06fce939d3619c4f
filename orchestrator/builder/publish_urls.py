"""Addresses of adding a step, publishing, versions and a workflow's settings."""

from __future__ import annotations

from django.urls import path

from orchestrator.builder import add_step, files, publish, settings_page, versions

_AT = "w/<slug:tenant>/workflows/<int:pk>/"

urlpatterns = [
    path(f"{_AT}add/", add_step.step_add, name="step-add"),
    path(f"{_AT}publish/", publish.publish, name="workflow-publish"),
    path(f"{_AT}publish/undo/", publish.publish_undo, name="workflow-publish-undo"),
    path(f"{_AT}versions/", versions.versions, name="workflow-versions"),
    path(f"{_AT}versions/<int:number>/", versions.version, name="workflow-version"),
    path(f"{_AT}versions/<int:number>/restore/", versions.version_restore, name="workflow-version-restore"),
    path(f"{_AT}versions/<int:number>/publish/", versions.version_publish, name="workflow-version-publish"),
    path(f"{_AT}versions/<int:older>...<int:newer>/", versions.compare, name="workflow-versions-compare"),
    path(f"{_AT}settings/", settings_page.settings, name="workflow-settings"),
    path(f"{_AT}file/", files.workflow_file, name="workflow-file"),
    path(f"{_AT}file/replace/", files.workflow_replace, name="workflow-file-replace"),
]
