"""Addresses that third parties call, or open from a link: a secret in them is what they are found by."""

from __future__ import annotations

from django.urls import path

from runs import approvals
from runs.triggers import callbacks, forms

urlpatterns = [
    path("a/<str:token>", approvals.approval, name="approval"),
    path("c/<str:token>", callbacks.receive, name="callback"),
    path("f/<str:token>", forms.form, name="form"),
]
