"""What a good declaration has, beyond what its decorator insists on: ``integration lint`` shows the findings."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from integrations.sdk.action import Action
from integrations.sdk.auth import SECRET_NAMES
from integrations.sdk.declaration import Declaration
from integrations.sdk.fields import is_secret, words_problems
from integrations.sdk.provider import Provider
from integrations.sdk.webhook import Hmac, WebhookTrigger

LIBRARY: Final = "integrations.providers."
IMPORT_SECONDS: Final = 60

_SECRET_NAME: Final = re.compile(r"(^|_)(password|passphrase|secret|api_?key|private_key|access_key|access_token)$")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_SVG_DANGER: Final = re.compile(r"<script|<foreignObject|\son\w+\s*=|(?:href|src)\s*=|url\(|<!DOCTYPE|<!ENTITY", re.I)

_LONG: Final = frozenset({"textarea", "html", "code"})

# In a fresh interpreter: an audit hook cannot be taken off again.
_WATCH: Final = """
import importlib, sys
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}:
        sys.stderr.write(f"NETWORK {name}\\n")
        raise RuntimeError("an import used the network")
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to correct, and where."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.message}"


def lint(declared: Iterable[Declaration]) -> list[Finding]:
    """Return every finding about these actions and triggers and their providers."""
    chosen = list(declared)
    providers = {id(each.provider): each.provider for each in chosen}
    return [
        *(Finding(place=each.origin, key=each.key, message=text) for each in chosen for text in _of(each)),
        *(
            Finding(place=provider.origin, key=provider.key, message=text)
            for provider in providers.values()
            for text in _of_provider(provider)
        ),
    ]


def _of(declared: Declaration) -> Iterator[str]:
    for rule in (_description, _sample, _inputs, _words, _test):
        yield from rule(declared)
    if isinstance(declared, Action):
        yield from _summary(declared)
        yield from _options(declared)
    if isinstance(declared, WebhookTrigger):
        yield from _webhook(declared)


def _webhook(trigger: WebhookTrigger) -> Iterator[str]:
    if trigger.subscribe is None and not trigger.help:
        yield "a person has to enter its address at the provider: say with help=… where"
    if trigger.verify == "none" and trigger.origin.startswith(LIBRARY):
        yield "it checks no signature, so whoever learns its address starts workflows: say how with verify=…"
    if trigger.delivery is None and (callable(trigger.verify) or isinstance(trigger.verify, Hmac)):
        yield "nothing tells a request that is sent again: name its header with delivery=…"


def _description(action: Declaration) -> Iterator[str]:
    if action.description == action.name:
        yield "it has no docstring, and so no description"


def _sample(action: Declaration) -> Iterator[str]:
    if action.output_schema is None or action.sample is None:
        if action.origin.startswith(LIBRARY):
            yield "the library requires an output_schema and a sample"
        return
    try:
        action.output_schema.model_validate(action.sample)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        yield f"the sample does not fit the output schema: {where}"


def _inputs(action: Declaration) -> Iterator[str]:
    for name, field in action.input_schema.model_fields.items():
        shown = field.alias or name
        if _SECRET_NAME.search(_CAMEL.sub(r"_\1", name).lower()) and not is_secret(field):
            yield f"the input {shown!r} looks like a secret: use a credential, or mark it with ui(secret=True)"
        if not field.examples and not is_secret(field) and action.origin.startswith(LIBRARY):
            yield f"the input {shown!r} has no examples"
        if any(not _fits(field, example) for example in field.examples or ()):
            yield f"an example of the input {shown!r} does not fit it"


def _words(action: Declaration) -> Iterator[str]:
    for schema in (action.input_json_schema(), action.output_json_schema() or {}):
        yield from words_problems(schema)


def _fits(field: FieldInfo, example: Any) -> bool:
    try:
        TypeAdapter(Annotated[(field.annotation, None, *field.metadata)]).validate_python(example)  # type: ignore[arg-type]
    except ValidationError:
        return False
    return True


def _test(action: Declaration) -> Iterator[str]:
    if action.auth_required and action.provider.auth_test(action.auth_type) is None:
        yield f"its provider's {action.auth_type} has no test: give the auth kind test=…"


def _summary(action: Action) -> Iterator[str]:
    if action.summary is None or action.sample is None:
        return
    try:
        text: object = action.summary(action.sample)
    except Exception as error:
        text = error
    if not isinstance(text, str):
        yield f"summary(sample) gives no text but {type(text).__name__}"


def _options(action: Action) -> Iterator[str]:
    """Choices are put into a text field; where there is none, nobody ever sees them."""
    properties = action.input_json_schema().get("properties", {})
    for name, function in action.options.items():
        part = properties.get(name, {})
        kinds = {str(each.get("type")) for each in (part, *part.get("anyOf", ()))} - {"None", "null"}
        if not kinds <= {"string", "integer", "number"} or "enum" in part or part.get("format") in _LONG:
            yield f"the input {name!r} has options and is no field of one line: the builder shows none there"
        if not (inspect.getdoc(function) or "").strip():
            yield f"the options of {name!r} have no docstring"


def _of_provider(provider: Provider) -> Iterator[str]:
    for kind in provider.auth:
        for field in kind.fields:
            if field.name in SECRET_NAMES and not field.secret:
                yield f"the field {field.name!r} of {kind.type} is a secret and not marked as one"
    if provider.icon.endswith(".svg"):
        yield from _icon(provider)


def _icon(provider: Provider) -> Iterator[str]:
    """An SVG is drawn into our pages: it may hold shapes, and nothing that loads or runs."""
    module = sys.modules.get(provider.origin.rpartition(":")[0])
    path = Path(getattr(module, "__file__", None) or "").parent / provider.icon
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        yield f"its icon {provider.icon!r} does not lie beside its declaration"
        return
    if "<svg" not in text or "viewBox" not in text or _SVG_DANGER.search(text):
        yield f"its icon {provider.icon!r} must be an SVG with a viewBox, without scripts and references"


def network_at_import(modules: Sequence[str]) -> list[Finding]:
    """Import the modules in a fresh interpreter; return a finding if one calls out or cannot be imported."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(  # our own interpreter, with our own script
            [sys.executable, "-c", _WATCH, *modules],
            env=environment,
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        told = f"importing it takes longer than {IMPORT_SECONDS} s: do at a call what it does there"
        return [Finding(place=", ".join(modules), key="import", message=told)]
    called = [line.removeprefix("NETWORK ") for line in done.stderr.splitlines() if line.startswith("NETWORK ")]
    if called:
        return [Finding(place=called[0], key="import", message="importing it uses the network")]
    if done.returncode == 0:
        return []
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return [Finding(place=", ".join(modules), key="import", message=f"a fresh interpreter cannot import it: {last}")]
