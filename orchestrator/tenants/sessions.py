"""Sessions in the database that know whose they are, so that a person can look through their own and end them.

Whose a session is stands in a column beside its data; since when, from where and with what browser it was begun is
in the data, which is read for one person's few sessions only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, login
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from orchestrator.tenants.models import PersonSession
from orchestrator.tenants.sign_on_sessions import MARKS

HELD: Final = "held"  # the session's key of who has given their password, and a code not yet
_HELD_FOR: Final = 600.0
BEGUN: Final = "begun"  # the session's key of what is told of its beginning
_MOST_LISTED: Final = 100


class SessionStore(DatabaseSessions):
    """Django's sessions in the database, with the person in a column; the setting ``SESSION_ENGINE``."""

    @classmethod
    def get_model_class(cls) -> type[PersonSession]:
        return PersonSession

    def create_model_instance(self, data: dict[str, Any]) -> PersonSession:
        row: PersonSession = super().create_model_instance(data)  # type: ignore[assignment]
        row.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        return row


@dataclass(frozen=True, kw_only=True)
class SessionFace:
    """A session as its person sees it; ``mark`` names it in a form and opens nothing."""

    mark: str
    begun_at: datetime | None
    address: str
    agent: str
    through: str
    is_this: bool


def sign_in(request: HttpRequest, user: User, *, through: str = "") -> None:
    """Begin a person's session, with a note of when, from where and with what; forget those that are over.

    ``through`` names the tenant whose single sign-on vouches for them.
    """
    login(request, user)
    # What a session opens is said anew by whoever begins it; one of nobody may have been a short one.
    request.session.pop(MARKS, None)
    request.session.set_expiry(None)
    request.session[BEGUN] = {
        "at": timezone.now().timestamp(),
        "address": str(request.META.get("REMOTE_ADDR", ""))[:64],
        "agent": request.headers.get("User-Agent", "")[:200],
        "through": through[:200],
    }
    PersonSession.objects.filter(expire_date__lt=timezone.now()).delete()


def hold(request: HttpRequest, user: User) -> None:
    """Note that a person has given their right password: it opens nothing but the page that asks for their code."""
    request.session.cycle_key()
    now = timezone.now().timestamp()
    request.session[HELD] = {"user": user.pk, "hash": user.get_session_auth_hash(), "at": now}


def held(request: HttpRequest) -> User | None:
    """Return who has given their password within the last 10 minutes, and has it still; None for nobody."""
    kept = request.session.get(HELD) or {}
    if timezone.now().timestamp() - float(kept.get("at", 0)) > _HELD_FOR:
        return None
    user = User.objects.filter(pk=int(kept.get("user", 0)), is_active=True).first()
    if user is None or not constant_time_compare(kept.get("hash", ""), user.get_session_auth_hash()):
        return None
    return user


def session_list(user: User, this: str | None) -> list[SessionFace]:
    """Return the sessions in which a person is signed in, the present one (its key is ``this``) first."""
    rows = PersonSession.objects.filter(user=user, expire_date__gt=timezone.now()).order_by("-expire_date")
    faces = [_face(row, data, this) for row in rows[:_MOST_LISTED] if _is_valid(data := _data(row), user)]
    return sorted(faces, key=lambda face: not face.is_this)


@transaction.atomic
def sessions_end(*, user: User, this: str | None = None, mark: str = "") -> int:
    """End a person's sessions but the one whose key is ``this``, or the one of a ``mark``; return how many."""
    rows = PersonSession.objects.filter(user=user)
    if this is not None:
        rows = rows.exclude(session_key=this)
    if mark:
        rows = rows.filter(
            session_key__in=[key for key in rows.values_list("session_key", flat=True) if _mark(key) == mark]
        )
    return rows.delete()[0]


def _data(row: PersonSession) -> dict[str, Any]:
    data: dict[str, Any] = row.get_decoded()
    return data


def _is_valid(data: dict[str, Any], user: User) -> bool:
    """Whether the person is still signed in there: a new password ends what was begun with the old one."""
    kept = data.get(HASH_SESSION_KEY, "")
    return BACKEND_SESSION_KEY in data and constant_time_compare(kept, user.get_session_auth_hash())


def _face(row: PersonSession, data: dict[str, Any], this: str | None) -> SessionFace:
    begun = data.get(BEGUN) or {}
    moment = begun.get("at")
    return SessionFace(
        mark=_mark(row.session_key),
        begun_at=datetime.fromtimestamp(moment, UTC) if moment else None,
        address=str(begun.get("address", "")),
        agent=_agent(str(begun.get("agent", ""))),
        through=str(begun.get("through", "")),
        is_this=row.session_key == this,
    )


# What a browser calls itself, the ones that carry others' names last.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


def _agent(text: str) -> str:
    """Return a browser's and a system's names, like ``Firefox, Linux``; what is none as it calls itself, cut."""
    names = [next((name for part, name in table if part in text), "") for table in (_BROWSERS, _SYSTEMS)]
    return ", ".join(name for name in names if name) or text[:40]


def _mark(key: str) -> str:
    return hashlib.sha256(f"session {key}".encode()).hexdigest()[:16]
