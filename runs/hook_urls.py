"""Addresses that third parties call."""

from __future__ import annotations

from django.urls import path

from runs.triggers import hooks

urlpatterns = [
    path("h/<str:token>", hooks.receive, name="webhook"),
]
