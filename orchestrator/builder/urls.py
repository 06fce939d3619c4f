"""Addresses of the builder: one workflow's steps and triggers, changed one at a time."""

from __future__ import annotations

from django.urls import path, register_converter

from orchestrator.builder import arranging, editing, lanes, travel
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
    path(f"{_AT}/test/", editing.workflow_test, name="workflow-test"),
    path(f"{_AT}/undo/", travel.undo, name="workflow-undo"),
    path(f"{_AT}/redo/", travel.redo, name="workflow-redo"),
    path(f"{_AT}/steps/<key:key>/", editing.step, name="workflow-step"),
    path(f"{_AT}/steps/<key:key>/move/", arranging.step_move, name="workflow-step-move"),
    path(f"{_AT}/steps/<key:key>/duplicate/", arranging.step_duplicate, name="workflow-step-duplicate"),
    path(f"{_AT}/steps/<key:key>/remove/", arranging.step_remove, name="workflow-step-remove"),
    path(f"{_AT}/steps/<key:key>/lanes/", lanes.step_lanes, name="workflow-step-lanes"),
    path(f"{_AT}/steps/<key:key>/test/", editing.step_test, name="workflow-step-test"),
    path(f"{_AT}/triggers/", editing.trigger_add, name="workflow-trigger-add"),
    path(f"{_AT}/triggers/<key:key>/", editing.trigger, name="workflow-trigger"),
    path(f"{_AT}/triggers/<key:key>/remove/", editing.trigger_remove, name="workflow-trigger-remove"),
]
