"""Addresses of the pages of runs."""

from __future__ import annotations

from django.urls import path

from runs import views

urlpatterns = [
    path("w/<slug:tenant>/runs/", views.run_list, name="run-list"),
    path("w/<slug:tenant>/runs/<int:pk>/", views.run, name="run"),
    path("w/<slug:tenant>/runs/<int:pk>.json", views.run_json, name="run-json"),
    path("w/<slug:tenant>/runs/<int:pk>.txt", views.run_as_text, name="run-text"),
    path("w/<slug:tenant>/runs/<int:pk>/changes/", views.run_changes, name="run-changes"),
    path("w/<slug:tenant>/runs/<int:pk>/values/<int:ref>/", views.run_value, name="run-value"),
    path("w/<slug:tenant>/runs/<int:pk>/again/", views.run_rerun, name="run-rerun"),
    path("w/<slug:tenant>/runs/<int:pk>/cancel/", views.run_cancel, name="run-cancel"),
    path("w/<slug:tenant>/runs/<int:pk>/resolve/", views.run_resolve, name="run-resolve"),
    path("w/<slug:tenant>/workflows/<int:pk>/run/", views.run_start, name="run-start"),
]
