"""The API's description and its viewer."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
