"""The address that third parties call most, and all that a process loads which takes nothing else."""

from __future__ import annotations

from django.urls import path

from runs.triggers import hooks

urlpatterns = [
    path("h/<str:token>", hooks.receive, name="webhook"),
]
