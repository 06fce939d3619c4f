"""The sign-in form."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from orchestrator.tenants.signin import sign_in_failed, sign_in_succeeded, sign_in_wait


class SignInForm(AuthenticationForm):
    """Name and password; refuses, with the seconds to wait, after repeated failures."""

    def clean(self) -> dict[str, Any]:
        name = str(self.data.get("username", ""))[:254]
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        seconds = sign_in_wait(name=name, address=address)
        if seconds:
            raise ValidationError(
                _("Too many sign-ins have failed. Wait %(seconds)d s and try again: no password is checked until then.")
                % {"seconds": seconds},
                code="throttled",
            )
        try:
            cleaned = super().clean()
        except ValidationError:
            sign_in_failed(name=name, address=address)
            raise ValidationError(
                _("The name or the password is wrong. Check both, capital letters count, and try again."),
                code="invalid_login",
            ) from None
        sign_in_succeeded(name=name, address=address)
        return cleaned or {}
