"""Addresses outside any tenant: the root, signing in and out, the theme."""

from __future__ import annotations

from django.urls import path

from orchestrator.tenants import views

urlpatterns = [
    path("", views.root, name="root"),
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", views.SignOut.as_view(), name="sign-out"),
    path("theme/", views.theme, name="theme"),
]
