"""The settings that an operator gives: environment, ``.env``, then ``DATA_DIR/keys.env``, in that order.

Everything is read and checked here, once, without Django, so that a wrong value ends any command with
one sentence instead of a traceback.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from orchestrator import env_otel, env_prices
from orchestrator.env_mail import is_sender
from orchestrator.env_values import (
    KEY_BYTES,
    allowed_host,
    boolean,
    check_database,
    check_email,
    check_redis,
    check_root,
    check_url,
    client_map,
    json_object,
    positive,
    rate_map,
    reachable,
    read_env_file,
    string_map,
    vault_keys,
    words,
)
from orchestrator.env_values import ConfigurationError as ConfigurationError

ROOT: Final = Path(__file__).resolve().parent.parent
KEYS_FILE: Final = "keys.env"
PROCESS_VARIABLE: Final = "ORCHESTRATOR_PROCESS"

# Only these may make keys on a first start, and only these and the ones that read nothing may run without keys.
MAKES_KEYS: Final = frozenset({"up", "setup"})
NEEDS_KEYS: Final = MAKES_KEYS | {"web", "worker", "token", "tenant", "user", "member", "domain", "vault", "restored"}


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Every setting, checked. Secrets are kept out of ``repr``."""

    data_dir: Path
    debug: bool
    secret_key: str | None = field(repr=False)
    vault_keys: tuple[bytes, ...] = field(repr=False)
    keys_are_self_made: bool
    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    base_url: str | None
    allowed_hosts: tuple[str, ...]
    egress_allow: tuple[str, ...]
    base_urls: Mapping[str, str]
    oauth_token_urls: Mapping[str, str]
    oauth_authorize_urls: Mapping[str, str]
    oauth_clients: Mapping[str, Mapping[str, str]] = field(repr=False)
    # Requests a second, None for as many as there are.
    rate_limits: Mapping[str, float | None]
    admin_password: str | None = field(repr=False)
    workers: int
    email_url: str | None = field(repr=False)
    email_from: str | None = None
    telemetry: Mapping[str, str] = field(default_factory=dict, repr=False)
    model_prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def uses_sqlite(self) -> bool:
        """Whether the database is a file of this machine, the only case in which keys may be self-made."""
        return self.database_url.startswith("sqlite")

    @property
    def has_keys(self) -> bool:
        return bool(self.secret_key and self.vault_keys)


@cache
def load() -> Environment:
    """Read and check every setting. Raises ConfigurationError with one sentence on the first wrong one."""
    file_values = read_env_file(ROOT / ".env")
    data_dir = Path(os.environ.get("DATA_DIR") or file_values.get("DATA_DIR") or "var")
    if not data_dir.is_absolute():
        data_dir = ROOT / data_dir
    made = read_env_file(data_dir / KEYS_FILE)
    values: dict[str, str] = {**file_values, **{k: v for k, v in os.environ.items() if v != ""}}
    database_url = values.get("DATABASE_URL") or f"sqlite:///{data_dir / 'orchestrator.sqlite3'}"
    check_url("DATABASE_URL", database_url, ("sqlite", "postgres", "postgresql"))
    check_database(database_url)
    uses_sqlite = database_url.startswith("sqlite")
    self_made = uses_sqlite and bool(made) and not (values.get("SECRET_KEY") and values.get("VAULT_KEYS"))
    keys = {**made, **values} if uses_sqlite else values
    if redis_url := values.get("REDIS_URL"):
        check_url("REDIS_URL", redis_url, ("redis", "rediss", "unix"))
        check_redis(redis_url)
    if base_url := values.get("BASE_URL"):
        check_url("BASE_URL", base_url, ("http", "https"))
        check_root("BASE_URL", base_url)
    if email_url := values.get("EMAIL_URL"):
        check_email(email_url)
    email_from = values.get("EMAIL_FROM")
    if email_from and not is_sender(email_from):
        raise ConfigurationError("EMAIL_FROM is no mail address: write it like Orchestrator <flows@example.com>.")
    telemetry = env_otel.telemetry(values)
    if problem := env_otel.wrong(telemetry):
        raise ConfigurationError(problem)
    model_prices, problem = env_prices.prices(json_object(env_prices.NAME, values))
    if problem:
        raise ConfigurationError(problem)
    return Environment(
        data_dir=data_dir,
        debug=boolean("DEBUG", values.get("DEBUG", "off")),
        secret_key=keys.get("SECRET_KEY"),
        vault_keys=vault_keys(keys.get("VAULT_KEYS", "")),
        keys_are_self_made=self_made,
        database_url=database_url,
        redis_url=redis_url,
        base_url=base_url.rstrip("/") if base_url else None,
        allowed_hosts=tuple(allowed_host(word) for word in words(values.get("ALLOWED_HOSTS", ""))),
        egress_allow=tuple(reachable(word) for word in words(values.get("EGRESS_ALLOW", ""))),
        base_urls=string_map("INTEGRATIONS_BASE_URLS", values),
        oauth_token_urls=string_map("INTEGRATIONS_OAUTH_TOKEN_URLS", values),
        oauth_authorize_urls=string_map("INTEGRATIONS_OAUTH_AUTHORIZE_URLS", values),
        oauth_clients=client_map(values),
        rate_limits=rate_map("INTEGRATIONS_RATE_LIMITS", values),
        admin_password=values.get("ORCHESTRATOR_ADMIN_PASSWORD"),
        workers=positive("WORKERS", values.get("WORKERS", "2")),
        email_url=email_url,
        email_from=email_from,
        telemetry=telemetry,
        model_prices=model_prices,
    )


def prepare(command: str, *, wants_help: bool = False) -> None:
    """Check the settings before Django starts; make keys on a first start where that is allowed.

    Raises ConfigurationError when ``command`` needs keys and there are none.
    """
    environment = load()
    if wants_help or command not in NEEDS_KEYS or environment.has_keys:
        return
    if environment.uses_sqlite and command in MAKES_KEYS:
        make_keys(environment.data_dir)
        load.cache_clear()
        return
    missing = " and ".join(
        name
        for name, there in (("SECRET_KEY", environment.secret_key), ("VAULT_KEYS", environment.vault_keys))
        if not there
    )
    remedy = (
        "run `python manage.py setup` once to have them made"
        if environment.uses_sqlite
        else "with a database server every process needs the same keys, so set them in the environment of each"
    )
    raise ConfigurationError(f"`{command}` needs {missing}, which is not set: {remedy}.")


def process() -> str:
    """Return which half of the product this process is: ``web``, ``worker`` or empty for a command.

    Internal: `web` and `worker` set it for the processes that they start.
    """
    return os.environ.get(PROCESS_VARIABLE, "")


def require_driver(setting: str, module: str, extra: str) -> None:
    """Raise ConfigurationError when the module that ``setting`` needs is not installed, naming the extra."""
    with contextlib.suppress(ModuleNotFoundError):  # of a package around it
        if importlib.util.find_spec(module) is not None:
            return
    raise ConfigurationError(
        f"{setting} needs the package {module}, which is not installed: run `pip install 'orchestrator[{extra}]'`."
    )


def make_folder(folder: Path) -> None:
    """Make the folder that the database or the keys lie in. Raises ConfigurationError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made ({error.strerror}): correct DATA_DIR or DATABASE_URL, or its rights."
        ) from error


def make_keys(data_dir: Path) -> Path:
    """Write fresh keys to ``data_dir/keys.env``, readable by the owner alone; an existing file is left as it is."""
    make_folder(data_dir)
    path = data_dir / KEYS_FILE
    vault_key = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip("=")
    text = (
        "# Made on the first start. Keep a copy: without VAULT_KEYS no saved credential can be read again.\n"
        f"SECRET_KEY={secrets.token_urlsafe(50)}\n"
        f"VAULT_KEYS={vault_key}\n"
    )
    descriptor, temporary = tempfile.mkstemp(dir=data_dir, prefix=".keys-")
    try:
        os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        # A link fails when the name is taken, so two first starts at once end with one set of keys.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    return path
