"""The settings that an operator gives: environment, ``.env``, then ``DATA_DIR/keys.env``, in that order.

Everything is read and checked here, once, without Django, so that a wrong value ends any command with
one sentence instead of a traceback.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib.util
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from orchestrator import env_otel, env_prices
from orchestrator.env_mail import is_sender
from orchestrator.env_urls import is_network, is_web_address

ROOT: Final = Path(__file__).resolve().parent.parent
KEYS_FILE: Final = "keys.env"
KEY_BYTES: Final = 32
PROCESS_VARIABLE: Final = "ORCHESTRATOR_PROCESS"

# Only these may make keys on a first start, and only these and the ones that read nothing may run without keys.
MAKES_KEYS: Final = frozenset({"up", "setup"})
NEEDS_KEYS: Final = MAKES_KEYS | {"web", "worker", "token", "tenant", "user", "member", "domain", "vault", "restored"}

_HOST: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?", re.I
)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message is one sentence that says which, why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Every setting of CONTRACT section 1, checked. Secrets are kept out of ``repr``."""

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
    file_values = _read_env_file(ROOT / ".env")
    data_dir = Path(os.environ.get("DATA_DIR") or file_values.get("DATA_DIR") or "var")
    if not data_dir.is_absolute():
        data_dir = ROOT / data_dir
    made = _read_env_file(data_dir / KEYS_FILE)
    values: dict[str, str] = {**file_values, **{k: v for k, v in os.environ.items() if v != ""}}
    database_url = values.get("DATABASE_URL") or f"sqlite:///{data_dir / 'orchestrator.sqlite3'}"
    _check_url("DATABASE_URL", database_url, ("sqlite", "postgres", "postgresql"))
    _check_database(database_url)
    uses_sqlite = database_url.startswith("sqlite")
    self_made = uses_sqlite and bool(made) and not (values.get("SECRET_KEY") and values.get("VAULT_KEYS"))
    keys = {**made, **values} if uses_sqlite else values
    if redis_url := values.get("REDIS_URL"):
        _check_url("REDIS_URL", redis_url, ("redis", "rediss", "unix"))
        _check_redis(redis_url)
    if base_url := values.get("BASE_URL"):
        _check_url("BASE_URL", base_url, ("http", "https"))
        _check_root("BASE_URL", base_url)
    if email_url := values.get("EMAIL_URL"):
        _check_email(email_url)
    email_from = values.get("EMAIL_FROM")
    if email_from and not is_sender(email_from):
        raise ConfigurationError("EMAIL_FROM is no mail address: write it like Orchestrator <flows@example.com>.")
    telemetry = env_otel.telemetry(values)
    if problem := env_otel.wrong(telemetry):
        raise ConfigurationError(problem)
    model_prices, problem = env_prices.prices(_json_object(env_prices.NAME, values))
    if problem:
        raise ConfigurationError(problem)
    return Environment(
        data_dir=data_dir,
        debug=_boolean("DEBUG", values.get("DEBUG", "off")),
        secret_key=keys.get("SECRET_KEY"),
        vault_keys=_vault_keys(keys.get("VAULT_KEYS", "")),
        keys_are_self_made=self_made,
        database_url=database_url,
        redis_url=redis_url,
        base_url=base_url.rstrip("/") if base_url else None,
        allowed_hosts=tuple(_allowed_host(word) for word in _words(values.get("ALLOWED_HOSTS", ""))),
        egress_allow=tuple(_reachable(word) for word in _words(values.get("EGRESS_ALLOW", ""))),
        base_urls=_string_map("INTEGRATIONS_BASE_URLS", values),
        oauth_token_urls=_string_map("INTEGRATIONS_OAUTH_TOKEN_URLS", values),
        oauth_authorize_urls=_string_map("INTEGRATIONS_OAUTH_AUTHORIZE_URLS", values),
        oauth_clients=_client_map(values),
        rate_limits=_rate_map("INTEGRATIONS_RATE_LIMITS", values),
        admin_password=values.get("ORCHESTRATOR_ADMIN_PASSWORD"),
        workers=_positive("WORKERS", values.get("WORKERS", "2")),
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


def _read_env_file(path: Path) -> dict[str, str]:
    """Return the NAME=value lines of a file; quotes around a value are taken off, ``#`` lines are comments."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name} cannot be read ({error}): correct or remove the file.") from error
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, separator, value = stripped.removeprefix("export ").partition("=")
        if not separator or not name.strip().isidentifier():
            raise ConfigurationError(f"{path.name} line {number} is not NAME=value: correct or remove the line.")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values


def _boolean(name: str, value: str) -> bool:
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ConfigurationError(
        f"{name} is {value!r}, which is neither on nor off: use 1, 0, true, false, yes, no, on or off."
    )


def _positive(name: str, value: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigurationError(f"{name} is {value!r}, which is not a positive whole number: use 1 or more.")
    return number


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _check_url(name: str, value: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in schemes or not (parts.netloc or parts.path.strip("/")):
        raise ConfigurationError(
            f"{name} is not a URL that can be used here: it starts with {' or '.join(f'{s}://' for s in schemes)}."
        )


def _check_database(url: str) -> None:
    parts = urlsplit(url)
    name = parts.path.strip("/")
    if parts.scheme == "sqlite" and (name in ("", ":memory:") or "mode=memory" in parts.query):
        raise ConfigurationError(
            "DATABASE_URL names no file, and a database in memory is another one for each process: "
            "write it like sqlite:////srv/orchestrator/orchestrator.sqlite3."
        )
    if not name:
        raise ConfigurationError("DATABASE_URL names no database: add its name, like postgresql://host/orchestrator.")


def _check_redis(url: str) -> None:
    parts = urlsplit(url)
    number = parts.path.strip("/")
    if parts.scheme != "unix" and number and not number.isdecimal():
        raise ConfigurationError(
            f"REDIS_URL ends in {number[:40]!r}, which is not the number of a database: write it like redis://host:6379/0."
        )


def _check_root(name: str, url: str) -> None:
    """Refuse what is more than a scheme, a host and a port."""
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None or not parts.hostname:
        raise ConfigurationError(
            f"{name} is more or less than scheme, host and port: write it like https://flows.example.com."
        )


def _check_email(url: str) -> None:
    _check_url("EMAIL_URL", url, ("smtp", "smtps"))
    parts = urlsplit(url)
    if not parts.hostname or parts.path.strip("/"):
        raise ConfigurationError("EMAIL_URL names no mail server: write it like smtp://user:password@host:587?tls=1.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options.keys() - {"tls"}:
        raise ConfigurationError(f"EMAIL_URL has the option {option[:40]!r}, and only tls is known: take it out.")
    if "tls" in options:
        _boolean("EMAIL_URL's option tls", options["tls"])


def _allowed_host(word: str) -> str:
    if word == "*" or _HOST.fullmatch(word.removeprefix(".")) or is_network(word.strip("[]")):
        return word
    raise ConfigurationError(
        f"ALLOWED_HOSTS has {word[:80]!r}, which is not a host name: leave out scheme, port and path."
    )


def _reachable(word: str) -> str:
    if is_network(word):
        return word
    host, separator, port = word.rpartition(":")
    host = host if separator else word
    wrong_port = separator and not (port.isdecimal() and 0 < int(port) < 65_536)
    if wrong_port or not (_HOST.fullmatch(host) or is_network(host.removeprefix("[").removesuffix("]"))):
        raise ConfigurationError(
            f"EGRESS_ALLOW has {word[:80]!r}, which is not a host, a host:port or a network like 10.0.0.0/8."
        )
    return word


def _vault_keys(value: str) -> tuple[bytes, ...]:
    keys: list[bytes] = []
    for position, word in enumerate(_words(value), start=1):
        try:
            key = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"VAULT_KEYS entry {position} is not {KEY_BYTES} bytes as base64url: make one with "
                '`python -c "import base64,os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"`.'
            )
        keys.append(key)
    return tuple(keys)


def _json_object(name: str, values: Mapping[str, str]) -> dict[str, object]:
    text = values.get(name)
    if not text:
        return {}
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ConfigurationError(f'{name} is not a JSON object: write it like {{"slack": "https://…"}}.')
    return parsed


def _string_map(name: str, values: Mapping[str, str]) -> dict[str, str]:
    result: dict[str, str] = {}
    for key, value in _json_object(name, values).items():
        if not isinstance(value, str) or not is_web_address(value):
            raise ConfigurationError(f"{name} entry {key!r} is not an http or https URL: correct it.")
        result[key] = value.rstrip("/")
    return result


def _rate_map(name: str, values: Mapping[str, str]) -> dict[str, float | None]:
    result: dict[str, float | None] = {}
    for key, value in _json_object(name, values).items():
        if value is None:
            result[key] = None
        elif isinstance(value, int | float) and not isinstance(value, bool) and 1e-6 <= value <= 1e6:
            result[key] = value
        else:
            raise ConfigurationError(f"{name} entry {key!r} is no number of requests a second, and not null.")
    return result


def _client_map(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    name = "INTEGRATIONS_OAUTH_CLIENTS"
    result: dict[str, dict[str, str]] = {}
    for key, value in _json_object(name, values).items():
        if not isinstance(value, dict) or not all(
            isinstance(value.get(part), str) for part in ("client_id", "client_secret")
        ):
            raise ConfigurationError(
                f"{name} entry {key!r} needs a client_id and a client_secret, both texts: add them."
            )
        result[key] = {"client_id": value["client_id"], "client_secret": value["client_secret"]}
    return result
