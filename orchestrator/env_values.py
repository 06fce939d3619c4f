"""How one setting is read: what its text may be, and the sentence that says what is wrong with it.

Each function takes a text, some the name of its setting too, and raises ConfigurationError with that sentence.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from orchestrator.env_urls import is_network, is_web_address

KEY_BYTES: Final = 32
_HOST: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?", re.I
)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message is one sentence that says which, why and what to do."""


def read_env_file(path: Path) -> dict[str, str]:
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


def boolean(name: str, value: str) -> bool:
    """Return what a word for on or off means."""
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ConfigurationError(
        f"{name} is {value!r}, which is neither on nor off: use 1, 0, true, false, yes, no, on or off."
    )


def positive(name: str, value: str) -> int:
    """Return a whole number, 1 or more."""
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigurationError(f"{name} is {value!r}, which is not a positive whole number: use 1 or more.")
    return number


def words(value: str) -> tuple[str, ...]:
    """Return the words of a list that commas part."""
    return tuple(word.strip() for word in value.split(",") if word.strip())


def check_url(name: str, value: str, schemes: tuple[str, ...]) -> None:
    """Refuse what is no URL with one of the schemes."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in schemes or not (parts.netloc or parts.path.strip("/")):
        raise ConfigurationError(
            f"{name} is not a URL that can be used here: it starts with {' or '.join(f'{s}://' for s in schemes)}."
        )


def check_database(url: str) -> None:
    """Refuse the URL of no database, or of one in memory."""
    parts = urlsplit(url)
    name = parts.path.strip("/")
    if parts.scheme == "sqlite" and (name in ("", ":memory:") or "mode=memory" in parts.query):
        raise ConfigurationError(
            "DATABASE_URL names no file, and a database in memory is another one for each process: "
            "write it like sqlite:////srv/orchestrator/orchestrator.sqlite3."
        )
    if not name:
        raise ConfigurationError("DATABASE_URL names no database: add its name, like postgresql://host/orchestrator.")


def check_redis(url: str) -> None:
    """Refuse the URL of a Redis whose database is no number."""
    parts = urlsplit(url)
    number = parts.path.strip("/")
    if parts.scheme != "unix" and number and not number.isdecimal():
        raise ConfigurationError(
            f"REDIS_URL ends in {number[:40]!r}, which is not the number of a database: write it like redis://host:6379/0."
        )


def check_root(name: str, url: str) -> None:
    """Refuse what is more than a scheme, a host and a port."""
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None or not parts.hostname:
        raise ConfigurationError(
            f"{name} is more or less than scheme, host and port: write it like https://flows.example.com."
        )


def check_email(url: str) -> None:
    """Refuse what is no URL of a mail server."""
    check_url("EMAIL_URL", url, ("smtp", "smtps"))
    parts = urlsplit(url)
    if not parts.hostname or parts.path.strip("/"):
        raise ConfigurationError("EMAIL_URL names no mail server: write it like smtp://user:password@host:587?tls=1.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options.keys() - {"tls"}:
        raise ConfigurationError(f"EMAIL_URL has the option {option[:40]!r}, and only tls is known: take it out.")
    if "tls" in options:
        boolean("EMAIL_URL's option tls", options["tls"])


def allowed_host(word: str) -> str:
    """Return a host name or address that the product may be called by."""
    if word == "*" or _HOST.fullmatch(word.removeprefix(".")) or is_network(word.strip("[]")):
        return word
    raise ConfigurationError(
        f"ALLOWED_HOSTS has {word[:80]!r}, which is not a host name: leave out scheme, port and path."
    )


def reachable(word: str) -> str:
    """Return a host, a host with its port, or a network that steps may reach."""
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


def vault_keys(value: str) -> tuple[bytes, ...]:
    """Return the keys in their order, each as its bytes."""
    keys: list[bytes] = []
    for position, word in enumerate(words(value), start=1):
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


def json_object(name: str, values: Mapping[str, str]) -> dict[str, object]:
    """Return a JSON object by its setting's name, empty where it is not set."""
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


def string_map(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return web addresses by their keys, without a slash at the end."""
    result: dict[str, str] = {}
    for key, value in json_object(name, values).items():
        if not isinstance(value, str) or not is_web_address(value):
            raise ConfigurationError(f"{name} entry {key!r} is not an http or https URL: correct it.")
        result[key] = value.rstrip("/")
    return result


def rate_map(name: str, values: Mapping[str, str]) -> dict[str, float | None]:
    """Return requests a second by their keys, None where there is no limit."""
    result: dict[str, float | None] = {}
    for key, value in json_object(name, values).items():
        if value is None:
            result[key] = None
        elif isinstance(value, int | float) and not isinstance(value, bool) and 1e-6 <= value <= 1e6:
            result[key] = value
        else:
            raise ConfigurationError(f"{name} entry {key!r} is no number of requests a second, and not null.")
    return result


def client_map(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the id and the secret of OAuth clients by provider."""
    name = "INTEGRATIONS_OAUTH_CLIENTS"
    result: dict[str, dict[str, str]] = {}
    for key, value in json_object(name, values).items():
        if not isinstance(value, dict) or not all(
            isinstance(value.get(part), str) for part in ("client_id", "client_secret")
        ):
            raise ConfigurationError(
                f"{name} entry {key!r} needs a client_id and a client_secret, both texts: add them."
            )
        result[key] = {"client_id": value["client_id"], "client_secret": value["client_secret"]}
    return result
