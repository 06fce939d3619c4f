"""Django's settings, made from :mod:`orchestrator.env`; nothing else in the project reads the environment."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url

from orchestrator import env, env_mail, env_otel, languages

ENV = env.load()
BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = ENV.debug
# Commands that need no keys (check, makemigrations) get one for their own lifetime.
SECRET_KEY = ENV.secret_key or secrets.token_urlsafe(50)
VAULT_KEYS = ENV.vault_keys

BASE_URL = ENV.base_url
_base = urlsplit(BASE_URL or "")
HTTPS = _base.scheme == "https"
ALLOWED_HOSTS = [*ENV.allowed_hosts, *([_base.hostname] if _base.hostname else []), "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = [f"{_base.scheme}://{_base.netloc}"] if _base.netloc else []

ROOT_URLCONF = "orchestrator.urls"
WSGI_APPLICATION = "orchestrator.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    # Simple: our own admin site registers what it shows; django-q's tables must not be in it.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    # Not rest_framework itself: its template tags would load all of it, and a database driver, with the first page.
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "orchestrator",
    "orchestrator.tenants",
    "orchestrator.vault",
    "orchestrator.workflows",
    "orchestrator.alerts",
    "orchestrator.builder",
    "orchestrator.api",
    "runs",
]

MIDDLEWARE = [
    "orchestrator.middleware.RequestReference",
    "django.middleware.gzip.GZipMiddleware",
    "orchestrator.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "orchestrator.assets.Files",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "orchestrator.middleware.Language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "orchestrator.middleware.ServiceErrors",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Set by `web` and `worker` before they start their processes: a pool suits many threads, a fork does not survive one.
PROCESS = env.process()
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": (
        # The first counts only for a file that is made now: what is deleted later can then be given back.
        "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; "
        # The web has a connection for each of its threads; the file itself is mapped, once for all.
        f"PRAGMA mmap_size=134217728; PRAGMA cache_size=-{4_000 if PROCESS == 'web' else 20_000}; "
        "PRAGMA foreign_keys=ON;"
    ),
}


def _database() -> dict[str, Any]:
    config: dict[str, Any] = {**dj_database_url.parse(ENV.database_url)}
    if ENV.uses_sqlite:
        env.make_folder(Path(config["NAME"]).parent)
        config["OPTIONS"] = {**SQLITE_OPTIONS, **config.get("OPTIONS", {})}
        # Opening the file and its pragmas costs more than most requests do.
        config["CONN_MAX_AGE"] = None
        return config
    env.require_driver("DATABASE_URL", "psycopg", "postgres")
    options = dict(config.get("OPTIONS", {}))
    if PROCESS == "web":
        options["pool"] = {"min_size": 1, "max_size": 20, "timeout": 20}
        config["CONN_MAX_AGE"] = 0
    else:
        config["CONN_MAX_AGE"] = None
        config["CONN_HEALTH_CHECKS"] = True
    config["OPTIONS"] = options
    return config


DATABASES = {"default": _database()}
if ENV.redis_url:
    env.require_driver("REDIS_URL", "redis", "redis")
if ENV.telemetry:
    env.require_driver(env_otel.ENDPOINT, "opentelemetry.exporter.otlp.proto.http", "otel")

# Blocking threads of one web process; a request that waits for a run may hold at most a quarter of them.
WEB_THREADS = 16

# How long one django-q2 task may drive runs, and the cluster's own limits around it: slice < timeout < retry.
DRIVER_SLICE_SECONDS = 240
Q_CLUSTER: dict[str, object] = {
    "name": "orchestrator",
    "label": "Queue",
    "workers": ENV.workers,
    "timeout": DRIVER_SLICE_SECONDS + 60,
    "retry": DRIVER_SLICE_SECONDS + 120,
    "bulk": 1,
    "queue_limit": 1,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "catch_up": False,
    # The queue in the database sleeps on a bell instead.
    "poll": 0,
    "guard_cycle": 1,
    # Schedules are ours: its own would open a connection and be asked twice a minute.
    "scheduler": False,
    **({"redis": ENV.redis_url} if ENV.redis_url else {"orm": "default", "broker_class": "runs.doorbell.OrmQueue"}),
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"
CSRF_FAILURE_VIEW = "orchestrator.errorpages.csrf_failure"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
# One catalogue of all packages; `makemessages` writes it.
LOCALE_PATHS = [BASE_DIR / "orchestrator" / "locale"]
LANGUAGES = languages.offered(LOCALE_PATHS[0])
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "orchestrator" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "orchestrator.assets.VersionedStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600

# The operator's mail server; without one no mail is sent.
_mail = urlsplit(ENV.email_url or "")
EMAIL_HOST = _mail.hostname or ""
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
EMAIL_USE_SSL = _mail.scheme == "smtps"
EMAIL_USE_TLS = not EMAIL_USE_SSL and env_mail.uses_tls(ENV.email_url or "")
EMAIL_PORT = _mail.port or (465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = ENV.email_from or (
    EMAIL_HOST_USER if "@" in EMAIL_HOST_USER else f"orchestrator@{_base.hostname or 'localhost'}"
)

# HTTPS settings follow BASE_URL's scheme.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "orchestrator.tenants.sessions"
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
FILE_UPLOAD_HANDLERS = [
    "orchestrator.uploads.Bounded",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orchestrator.api.authentication.TokenAuthentication",
        "orchestrator.api.authentication.TenantSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["orchestrator.api.permissions.TenantAccess"],
    "DEFAULT_RENDERER_CLASSES": ["orchestrator.api.renderers.AnyTextJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["orchestrator.api.parsers.GatedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "orchestrator.api.schema.ContractSchema",
    "EXCEPTION_HANDLER": "orchestrator.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Orchestrator API",
    "DESCRIPTION": "Workflows, runs, credentials and the integration registry of one tenant.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "orchestrator.api.schema.name_components",
    ],
    "OAS_VERSION": "3.1.1",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "orchestrator.logs.json_formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"level": "INFO"},
        # One line for every request to an ignored path or with a bad header tells an operator nothing.
        "django.security.DisallowedHost": {"level": "ERROR"},
        "django-q": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    },
}
