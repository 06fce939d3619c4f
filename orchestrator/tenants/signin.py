"""Guessing passwords is slowed down and then refused: by name, by address, and most by a name at an address.

Nothing sleeps: a request that comes too early is refused, with the seconds to wait, before the password is looked at.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from orchestrator.tenants.models import SignInFailure

# How many failures are free before waiting starts; every further one doubles the wait.
_FREE: Final = {"pair": 4, "name": 20, "address": 60}
_LONGEST: Final = timedelta(minutes=15)
_FORGOTTEN_AFTER: Final = timedelta(hours=2)


def sign_in_wait(*, name: str, address: str) -> int:
    """Return the seconds until this person may try again from this address; 0 for now."""
    keys = dict(_keys(name, address))
    now = timezone.now()
    rows = SignInFailure.objects.filter(key__in=keys, last_at__gt=now - _FORGOTTEN_AFTER)
    ends = (row.last_at + _wait(row.failures - _FREE[keys[row.key]]) for row in rows)
    return max((math.ceil((end - now).total_seconds()) for end in ends if end > now), default=0)


@transaction.atomic
def sign_in_failed(*, name: str, address: str) -> None:
    """Count a failed sign-in, and forget those of long ago."""
    now = timezone.now()
    SignInFailure.objects.filter(last_at__lt=now - _FORGOTTEN_AFTER).delete()
    for key, _ in _keys(name, address):
        SignInFailure.objects.get_or_create(key=key, defaults={"last_at": now})
        SignInFailure.objects.filter(key=key).update(failures=F("failures") + 1, last_at=now)


def sign_in_succeeded(*, name: str, address: str) -> None:
    """Forget the failures of this name at this address; other addresses stay slowed down."""
    pair = next(key for key, kind in _keys(name, address) if kind == "pair")
    SignInFailure.objects.filter(key=pair).delete()


def _wait(over: int) -> timedelta:
    return min(_LONGEST, timedelta(seconds=2 ** min(over, 12))) if over > 0 else timedelta()


def _keys(name: str, address: str) -> Iterator[tuple[str, str]]:
    """Return what is counted: only digests are stored, since people type passwords into the field for the name."""
    folded = name.strip().lower()
    for kind, text in (("pair", f"{folded}\n{address}"), ("name", folded), ("address", address)):
        yield hashlib.sha256(f"{kind}\n{text}".encode("utf-8", "surrogatepass")).hexdigest(), kind
