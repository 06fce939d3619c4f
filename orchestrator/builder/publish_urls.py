"""Addresses of adding a step, publishing, versions and a workflow's settings."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
