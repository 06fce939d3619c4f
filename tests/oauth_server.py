"""A real OAuth 2 provider on this machine: django-oauth-toolkit in a process of its own, with one person and one app.

It asks for PKCE, and gives another refresh token for each one that is used. ``/me`` answers who holds a token of it.
``/control/…`` is the test's: it lets tokens end, takes them back, and says what the token endpoint was asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tests.product import free_port, wait_for

CLIENT: Final = {"client_id": "the-app", "client_secret": "a client secret canary 8151"}
PERSON: Final = ("ada", "a password at the provider")


@dataclass(frozen=True, kw_only=True)
class Provider:
    """The running server. ``asked`` counts what the token endpoint was asked, by grant and status."""

    address: str

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")

    def control(self, what: str, **values: Any) -> Any:
        answer = httpx.post(f"{self.address}/control/{what}", json=values, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def asked(self) -> Counter[str]:
        return Counter(self.control("asked"))

    def code(self, authorize_url: str) -> dict[str, str]:
        """Sign in and agree as the person does; return what the redirect back carries."""
        with httpx.Client(timeout=10, follow_redirects=False) as browser:
            browser.get(f"{self.address}/sign-in/")
            form = {"username": PERSON[0], "password": PERSON[1], "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            assert browser.post(f"{self.address}/sign-in/", data=form).status_code == 302
            page = browser.get(authorize_url)
            if page.status_code == 200:
                agreed = {"allow": "Authorize", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
                fields = {"scope": "read", **httpx.URL(authorize_url).params, **agreed}
                page = browser.post(authorize_url, data=fields)
            assert page.status_code == 302, page.text
            return dict(httpx.URL(page.headers["Location"]).params)


@contextmanager
def oauth_server(redirect_uri: str, *, seconds: int = 3600) -> Iterator[Provider]:
    """Run the provider, whose app lists ``redirect_uri`` and whose tokens last for ``seconds``."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-oauth-") as folder:
        port = free_port()
        with open(Path(folder) / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.oauth_server", str(port), folder, redirect_uri, str(seconds)],
                stdout=log,
                stderr=log,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": ""},
            )
        try:
            found = Provider(address=f"http://127.0.0.1:{port}")
            wait_for(lambda: _answers(found), seconds=60, what=lambda: (Path(folder) / "log").read_text())
            yield found
        finally:
            process.terminate()
            process.wait(timeout=20)


def _answers(found: Provider) -> bool:
    try:
        return httpx.get(f"{found.address}/sign-in/", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _serve(port: int, folder: str, redirect_uri: str, seconds: int) -> None:
    """Be the server."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="of the provider alone",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="tests.oauth_server",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(folder) / "db.sqlite3")}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": ["django.template.context_processors.request"],
                    "loaders": [
                        (
                            "django.template.loaders.locmem.Loader",
                            {"sign_in.html": _SIGN_IN, "oauth2_provider/base.html": _BASE},
                        ),
                        "django.template.loaders.app_directories.Loader",
                    ],
                },
            }
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        SESSION_COOKIE_NAME="provider_session",
        CSRF_COOKIE_NAME="csrftoken",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        LOGIN_URL="/sign-in/",
        OAUTH2_PROVIDER={
            "PKCE_REQUIRED": True,
            "ROTATE_REFRESH_TOKEN": True,
            "ACCESS_TOKEN_EXPIRE_SECONDS": seconds,
            "ALLOWED_REDIRECT_URI_SCHEMES": ["http"],
            "SCOPES": {"read": "Read", "write": "Write"},
            "DEFAULT_SCOPES": ["read"],
        },
    )
    settings.TEMPLATES[0].pop("APP_DIRS")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    ada = User.objects.create_user(PERSON[0], password=PERSON[1])
    for client, grant in ((CLIENT["client_id"], "authorization-code"), ("the-machine", "client-credentials")):
        Application.objects.create(
            name=client,
            user=ada,
            client_id=client,
            client_secret=CLIENT["client_secret"],
            client_type="confidential",
            authorization_grant_type=grant,
            redirect_uris=redirect_uri,
        )
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIServer, make_server

    from django.core.wsgi import get_wsgi_application

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    make_server("127.0.0.1", port, get_wsgi_application(), server_class=Server).serve_forever()


_BASE: Final = "<!doctype html><title>Provider</title>{% block content %}{% endblock %}"
_SIGN_IN: Final = """<!doctype html><title>Provider</title><form method="post">{% csrf_token %}
<label>User <input name="username"></label><label>Password <input name="password" type="password"></label>
<button>Sign in at the provider</button></form>"""
_asked: Counter[str] = Counter()


def _urlpatterns() -> list[Any]:
    from datetime import timedelta

    from django.contrib.auth.views import LoginView
    from django.http import HttpRequest, HttpResponse, JsonResponse
    from django.urls import path
    from django.utils import timezone
    from django.views.decorators.csrf import csrf_exempt
    from oauth2_provider import views
    from oauth2_provider.models import AccessToken, RefreshToken

    @csrf_exempt
    def token(request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = views.TokenView.as_view()(request)
        _asked[f"{request.POST.get('grant_type')} {answer.status_code}"] += 1
        return answer

    def me(request: HttpRequest) -> HttpResponse:
        plain = request.headers.get("Authorization", "").removeprefix("Bearer ")
        found = AccessToken.objects.filter(token=plain).first()
        if found is None or not found.is_valid():
            return JsonResponse({"error": "invalid_token"}, status=401)
        return JsonResponse({"login": found.user.username if found.user else "the app", "scope": found.scope})

    @csrf_exempt
    def control(request: HttpRequest, what: str) -> HttpResponse:
        values = json.loads(request.body or b"{}")
        if what == "asked":
            return JsonResponse(dict(_asked))
        if what == "end":
            # What is given out already is good no more, and nobody was told.
            AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
        if what == "take_back":
            AccessToken.objects.all().delete()
            RefreshToken.objects.all().delete()
        if what == "tokens":
            good = RefreshToken.objects.filter(revoked=None).count()
            return JsonResponse({"access": AccessToken.objects.count(), "refresh": good})
        return JsonResponse(values)

    return [
        path("sign-in/", LoginView.as_view(template_name="sign_in.html", next_page="/me")),
        path("o/authorize/", views.AuthorizationView.as_view()),
        path("o/token/", token),
        path("o/revoke/", csrf_exempt(views.RevokeTokenView.as_view())),
        path("me", me),
        path("control/<str:what>", control),
    ]


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
elif os.environ.get("DJANGO_SETTINGS_MODULE") == "":
    urlpatterns = _urlpatterns()
