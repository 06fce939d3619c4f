"""Addresses of the pages of runs."""

from __future__ import annotations

from django.urls import path

from runs import list_views, saved_views, views
from runs.pages import compare, files, logs

urlpatterns = [
    path("w/<slug:tenant>/runs/", list_views.run_list, name="run-list"),
    path("w/<slug:tenant>/runs/bulk/", list_views.run_bulk, name="run-bulk"),
    path("w/<slug:tenant>/runs/views/", saved_views.view_save, name="run-view-save"),
    path("w/<slug:tenant>/runs/views/<int:pk>/", saved_views.view_change, name="run-view"),
    path("w/<slug:tenant>/runs/export/", list_views.run_export, name="run-export"),
    path("w/<slug:tenant>/runs/<int:pk>/", views.run, name="run"),
    path("w/<slug:tenant>/runs/<int:pk>.json", views.run_json, name="run-json"),
    path("w/<slug:tenant>/runs/<int:pk>.txt", views.run_as_text, name="run-text"),
    path("w/<slug:tenant>/runs/<int:pk>/changes/", views.run_changes, name="run-changes"),
    path("w/<slug:tenant>/runs/<int:pk>/compare/", compare.run_compare_with, name="run-compare-with"),
    path("w/<slug:tenant>/runs/<int:pk>/compare/<int:other>/", compare.run_compare, name="run-compare"),
    path("w/<slug:tenant>/runs/<int:pk>/log/", logs.run_log, name="run-log"),
    path("w/<slug:tenant>/runs/<int:pk>/log.txt", logs.run_log_text, name="run-log-text"),
    path("w/<slug:tenant>/runs/<int:pk>/file/", files.run_file, name="run-file"),
    path("w/<slug:tenant>/runs/<int:pk>/values/<int:ref>/", views.run_value, name="run-value"),
    path("w/<slug:tenant>/runs/<int:pk>/again/", views.run_rerun, name="run-rerun"),
    path("w/<slug:tenant>/runs/<int:pk>/cancel/", views.run_cancel, name="run-cancel"),
    path("w/<slug:tenant>/runs/<int:pk>/resolve/", views.run_resolve, name="run-resolve"),
    path("w/<slug:tenant>/workflows/<int:pk>/run/", views.run_start, name="run-start"),
]
