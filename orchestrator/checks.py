"""System checks, one id for each setting that an operator can get wrong in a way that still starts.

What cannot be read at all stops in :mod:`orchestrator.env`, before Django. An error here stops every command; a
warning is shown. ``manage.py check --deploy`` says nothing where BASE_URL is https and the keys are set.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from integrations.registry import RegistryError, registry
from orchestrator import env
from orchestrator.egress import egress_policy
from orchestrator.env import Environment
from orchestrator.tenants.services import password_problems

_LOOPBACK_NAMES: Final = frozenset({"localhost", "ip6-localhost"})
# Different bytes of a random key of 32: fewer than 20 is rarer than one in ten million million.
_DISTINCT_BYTES: Final = 12
_WORKERS_A_PROCESSOR: Final = 8
_WIDE: Final = {4: 8, 6: 16}

Check = Callable[[Environment], Iterable[CheckMessage]]


def _error(number: int, message: str, hint: str) -> CheckMessage:
    return checks.Error(message, hint=hint, id=f"orchestrator.E{number:03}")


def _warning(number: int, message: str, hint: str) -> CheckMessage:
    return checks.Warning(message, hint=hint, id=f"orchestrator.W{number:03}")


def debug_in_public(environment: Environment) -> Iterator[CheckMessage]:
    """E001: DEBUG shows settings and local variables to whoever meets an error."""
    if environment.debug and _is_public(environment.base_url):
        yield _error(
            1,
            f"DEBUG is on, and BASE_URL {environment.base_url} is not of this machine alone.",
            "Take DEBUG out, or BASE_URL while you look for a fault.",
        )


def egress_unreadable(environment: Environment) -> Iterator[CheckMessage]:
    """E002: the guard on private addresses cannot read an entry."""
    try:
        egress_policy()
    except ValueError as error:
        yield _error(2, str(error), "Correct EGRESS_ALLOW: host, host:port or a network, separated by commas.")


def keys_self_made(environment: Environment) -> Iterator[CheckMessage]:
    """W001: keys in a file of this machine, while the world is told to come in."""
    if environment.keys_are_self_made and _is_public(environment.base_url):
        yield _warning(
            1,
            f"BASE_URL is {environment.base_url}, but the keys were made by this machine, so `web` listens on "
            "loopback only.",
            f"Set SECRET_KEY and VAULT_KEYS in the environment; those in {environment.data_dir / env.KEYS_FILE} do.",
        )


def keys_readable(environment: Environment) -> Iterator[CheckMessage]:
    """W002: the file of keys is open to other users of the machine."""
    path = environment.data_dir / env.KEYS_FILE
    if environment.uses_sqlite and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield _warning(2, f"{path} can be read by other users of this machine.", f"Run `chmod 600 {path}`.")


def vault_keys_weak(environment: Environment) -> Iterator[CheckMessage]:
    """W003, W004: a key that nobody drew at random, or one that is there twice."""
    keys = environment.vault_keys
    if any(len(set(key)) < _DISTINCT_BYTES for key in keys):
        yield _warning(
            3,
            "VAULT_KEYS holds a key that looks typed, not random.",
            'Make one with `python -c "import base64,os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"`, '
            "put it first and run `manage.py vault rotate`.",
        )
    if len(set(keys)) < len(keys):
        yield _warning(4, "VAULT_KEYS holds the same key twice.", "Leave one of them.")


def base_url_plain(environment: Environment) -> Iterator[CheckMessage]:
    """W005: passwords and sessions would travel readable."""
    if _is_public(environment.base_url) and urlsplit(environment.base_url or "").scheme == "http":
        yield _warning(
            5,
            f"BASE_URL {environment.base_url} is not https: passwords, sessions and tokens travel readable.",
            "Put a proxy with a certificate in front and write BASE_URL with https://.",
        )


def base_url_missing(environment: Environment) -> Iterator[CheckMessage]:
    """W006: the product is to be reached by a name, but does not know it."""
    named = [host for host in environment.allowed_hosts if not _is_loopback(host)]
    if named and not environment.base_url:
        yield _warning(
            6,
            f"ALLOWED_HOSTS names {named[0]}, but BASE_URL is not set: links and webhook addresses would be wrong.",
            f"Set BASE_URL, like https://{named[0].lstrip('.*') or 'flows.example.com'}.",
        )


def allowed_hosts_open(environment: Environment) -> Iterator[CheckMessage]:
    """W007: any Host header is believed."""
    if "*" in environment.allowed_hosts:
        yield _warning(
            7,
            "ALLOWED_HOSTS has *, so any Host header is believed and can end up in links.",
            "Name the hosts; that of BASE_URL is allowed by itself.",
        )


def egress_wide(environment: Environment) -> Iterator[CheckMessage]:
    """W008: an entry that opens more of the inside than anybody means to."""
    for entry in environment.egress_allow:
        network = _network(entry)
        if network is not None and network.prefixlen < _WIDE[network.version]:
            yield _warning(
                8,
                f"EGRESS_ALLOW has {entry}, which lets every tenant's steps reach much of the private network.",
                "Name the hosts or small networks that steps need.",
            )


def overrides_unknown(environment: Environment) -> Iterator[CheckMessage]:
    """W009: a key that names no provider and no OAuth family changes nothing."""
    if any(integrations_broken(environment)):
        return
    for name, values in _overrides(environment).items():
        for key in registry.unknown_overrides(values):
            yield _warning(
                9,
                f"{name} has {key!r}, which is neither a provider nor an OAuth family here.",
                "Correct the key (`manage.py integration list` shows them) or take it out.",
            )


def overrides_plain(environment: Environment) -> Iterator[CheckMessage]:
    """W010: credentials would travel readable."""
    for name, values in _overrides(environment).items():
        for key, value in values.items():
            if isinstance(value, str) and value.startswith("http://") and _is_public(value):
                yield _warning(
                    10,
                    f"{name} sends the credentials of {key} to {value} unencrypted.",
                    "Use https://, or a host of this machine.",
                )


def admin_password_weak(environment: Environment) -> Iterator[CheckMessage]:
    """W011: the first user would be easy to guess where strangers can try."""
    password = environment.admin_password
    if password and _is_public(environment.base_url):
        for problem in password_problems(password):
            yield _warning(11, f"ORCHESTRATOR_ADMIN_PASSWORD is weak: {problem}", "Choose a longer one.")


def workers_many(environment: Environment) -> Iterator[CheckMessage]:
    """W012: more processes than help; each drives many runs at once."""
    most = _WORKERS_A_PROCESSOR * (os.cpu_count() or 1)
    if environment.workers > most:
        yield _warning(
            12,
            f"WORKERS is {environment.workers} on a machine with {os.cpu_count()} processors.",
            f"A worker drives about a hundred runs at once: {most} or fewer are enough here.",
        )


def database_plain(environment: Environment) -> Iterator[CheckMessage]:
    """W013: every row and the database's password would travel readable."""
    if environment.uses_sqlite or not _is_public(environment.database_url):
        return
    mode = parse_qs(urlsplit(environment.database_url).query).get("sslmode", [""])[-1]
    if mode in ("disable", "allow") and not _is_private(environment.database_url):
        yield _warning(
            13,
            f"DATABASE_URL reaches a public address with sslmode={mode}, so rows may travel readable.",
            "Use sslmode=verify-full, or at least require.",
        )


def redis_plain(environment: Environment) -> Iterator[CheckMessage]:
    """W014: whoever reaches an open Redis can ring or silence the workers."""
    url = environment.redis_url or ""
    if urlsplit(url).scheme == "redis" and _is_public(url) and not _is_private(url):
        yield _warning(14, "REDIS_URL reaches a public address unencrypted.", "Use rediss:// and a password.")


def email_plain(environment: Environment) -> Iterator[CheckMessage]:
    """W015: the mail server's password would travel readable."""
    parts = urlsplit(environment.email_url or "")
    tls = parse_qs(parts.query).get("tls", [""])[-1].lower() in ("1", "true", "yes", "on")
    if parts.scheme == "smtp" and parts.password and not tls and _is_public(environment.email_url):
        yield _warning(15, "EMAIL_URL sends its password unencrypted.", "Add ?tls=1, or use smtps://.")


def data_dir_unwritable(environment: Environment) -> Iterator[CheckMessage]:
    """E003: nothing can be kept."""
    folder = environment.data_dir
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        yield _error(3, f"DATA_DIR {folder} cannot be written to.", "Correct DATA_DIR, or the rights on the folder.")


def integrations_broken(environment: Environment) -> Iterator[CheckMessage]:
    """E004: an installed integration cannot be loaded, or two declare the same key."""
    try:
        registry.load()
    except RegistryError as error:
        yield _error(4, str(error), "Correct or uninstall the package that the message names.")


CHECKS: Final[tuple[Check, ...]] = (
    debug_in_public,
    egress_unreadable,
    data_dir_unwritable,
    integrations_broken,
    keys_self_made,
    keys_readable,
    vault_keys_weak,
    base_url_plain,
    base_url_missing,
    allowed_hosts_open,
    egress_wide,
    overrides_unknown,
    overrides_plain,
    admin_password_weak,
    workers_many,
    database_plain,
    redis_plain,
    email_plain,
)


def check_settings() -> list[CheckMessage]:
    """Return what is wrong with the operator's settings."""
    return [message for check in CHECKS for message in check(settings.ENV)]


def _overrides(environment: Environment) -> dict[str, Mapping[str, object]]:
    return {
        "INTEGRATIONS_BASE_URLS": environment.base_urls,
        "INTEGRATIONS_OAUTH_TOKEN_URLS": environment.oauth_token_urls,
        "INTEGRATIONS_OAUTH_AUTHORIZE_URLS": environment.oauth_authorize_urls,
        "INTEGRATIONS_OAUTH_CLIENTS": environment.oauth_clients,
        "INTEGRATIONS_RATE_LIMITS": environment.rate_limits,
    }


def _is_public(url: str | None) -> bool:
    """Whether a URL leads to another machine than this one."""
    host = urlsplit(url or "").hostname
    return bool(host) and not _is_loopback(host or "")


def _is_loopback(host: str) -> bool:
    network = _network(host.strip("[]"))
    return host in _LOOPBACK_NAMES or host.endswith(".localhost") or (network is not None and network.is_loopback)


def _is_private(url: str) -> bool:
    """Whether a URL names a machine of a private network: by its address, or by a name without a domain."""
    host = urlsplit(url).hostname or ""
    network = _network(host)
    return "." not in host if network is None else network.is_private


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
