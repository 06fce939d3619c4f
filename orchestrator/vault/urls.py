"""Addresses of the pages of credentials."""

from __future__ import annotations

from django.urls import path

from orchestrator.vault import views

urlpatterns = [
    path("w/<slug:tenant>/credentials/", views.credentials, name="credential-list"),
    path("w/<slug:tenant>/credentials/new/", views.credential_new, name="credential-new"),
    path("w/<slug:tenant>/credentials/<int:pk>/", views.credential, name="credential"),
    path("w/<slug:tenant>/credentials/<int:pk>/edit/", views.credential_edit, name="credential-edit"),
    path("w/<slug:tenant>/credentials/<int:pk>/test/", views.credential_test, name="credential-test"),
    path("w/<slug:tenant>/credentials/<int:pk>/delete/", views.credential_delete, name="credential-delete"),
]
