"""Addresses of the builder: one workflow's steps and triggers, changed one at a time."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
