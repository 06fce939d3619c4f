"""Addresses of the pages of alerts."""

from __future__ import annotations

from django.urls import path

from orchestrator.alerts import pages

urlpatterns = [
    path("w/<slug:tenant>/settings/alerts/", pages.channels, name="alerts"),
    path("w/<slug:tenant>/settings/alerts/new/", pages.channel_new, name="alert-channel-new"),
    path("w/<slug:tenant>/settings/alerts/<int:pk>/", pages.channel, name="alert-channel"),
    path("w/<slug:tenant>/settings/alerts/<int:pk>/test/", pages.channel_try, name="alert-channel-test"),
    path("w/<slug:tenant>/settings/alerts/<int:pk>/secret/", pages.channel_secret, name="alert-channel-secret"),
    path("w/<slug:tenant>/settings/alerts/<int:pk>/delete/", pages.channel_remove, name="alert-channel-delete"),
]
