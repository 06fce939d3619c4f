"""Addresses of the builder: one workflow's steps and triggers, changed one at a time."""

from __future__ import annotations

from django.urls import path, register_converter

from orchestrator.builder import (
    arranging,
    choosing,
    editing,
    extracting,
    http_compare,
    lanes,
    listening,
    openapi_page,
    requests,
    testing,
    travel,
    triggers,
)
from orchestrator.flow.names import KEY_PATTERN


class KeyConverter:
    """The key of a step or trigger."""

    regex = KEY_PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(KeyConverter, "key")
_AT = "w/<slug:tenant>/workflows/<int:pk>"

urlpatterns = [
    path(f"{_AT}/", editing.workflow, name="workflow"),
    path(f"{_AT}/test/", triggers.workflow_test, name="workflow-test"),
    path(f"{_AT}/test/requests/", requests.requests_test, name="workflow-test-requests"),
    path(f"{_AT}/data/", listening.data_page, name="workflow-data"),
    path(f"{_AT}/data/choose/", listening.data_choose, name="workflow-data-choose"),
    path(f"{_AT}/name/", editing.workflow_rename, name="workflow-rename"),
    path(f"{_AT}/undo/", travel.undo, name="workflow-undo"),
    path(f"{_AT}/redo/", travel.redo, name="workflow-redo"),
    path(f"{_AT}/steps/<key:key>/", editing.step, name="workflow-step"),
    path(f"{_AT}/steps/<key:key>/move/", arranging.step_move, name="workflow-step-move"),
    path(f"{_AT}/steps/<key:key>/skip/", arranging.step_skip, name="workflow-step-skip"),
    path(f"{_AT}/steps/<key:key>/wrap/", arranging.step_wrap, name="workflow-step-wrap"),
    path(f"{_AT}/steps/<key:key>/duplicate/", arranging.step_duplicate, name="workflow-step-duplicate"),
    path(f"{_AT}/steps/<key:key>/remove/", arranging.step_remove, name="workflow-step-remove"),
    path(f"{_AT}/steps/<key:key>/extract/", extracting.step_extract, name="workflow-step-extract"),
    path(f"{_AT}/steps/<key:key>/lanes/", lanes.step_lanes, name="workflow-step-lanes"),
    path(f"{_AT}/steps/<key:key>/openapi/", openapi_page.step_openapi, name="workflow-step-openapi"),
    path(f"{_AT}/steps/<key:key>/compare/", http_compare.step_compare, name="workflow-step-compare"),
    path(f"{_AT}/steps/<key:key>/options/<str:field>/", choosing.step_options, name="workflow-step-options"),
    path(f"{_AT}/steps/<key:key>/test/", testing.step_test, name="workflow-step-test"),
    path(f"{_AT}/triggers/", triggers.trigger_add, name="workflow-trigger-add"),
    path(f"{_AT}/triggers/<key:key>/", triggers.trigger, name="workflow-trigger"),
    path(f"{_AT}/triggers/<key:key>/poll/", triggers.trigger_poll, name="workflow-trigger-poll"),
    path(f"{_AT}/triggers/<key:key>/remove/", triggers.trigger_remove, name="workflow-trigger-remove"),
]
