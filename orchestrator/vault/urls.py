"""Addresses of the pages of credentials."""

from __future__ import annotations

from django.urls import path

from orchestrator.vault import sign_in_pages, views

urlpatterns = [
    path("w/<slug:tenant>/credentials/", views.credentials, name="credential-list"),
    path("w/<slug:tenant>/credentials/new/", views.credential_new, name="credential-new"),
    path("w/<slug:tenant>/credentials/<int:pk>/", views.credential, name="credential"),
    path("w/<slug:tenant>/credentials/<int:pk>/edit/", views.credential_edit, name="credential-edit"),
    path("w/<slug:tenant>/credentials/<int:pk>/connect/", sign_in_pages.credential_connect, name="credential-connect"),
    path("oauth/callback/", sign_in_pages.callback, name="oauth-callback"),
    path("oauth/callback/own/", sign_in_pages.callback, name="oauth-callback-own"),
    path("oauth/done/", sign_in_pages.done, name="oauth-done"),
    path("w/<slug:tenant>/credentials/<int:pk>/test/", views.credential_test, name="credential-test"),
    path(
        "w/<slug:tenant>/credentials/<int:pk>/replace/", views.credential_replace_everywhere, name="credential-replace"
    ),
    path("w/<slug:tenant>/credentials/<int:pk>/delete/", views.credential_delete, name="credential-delete"),
]
