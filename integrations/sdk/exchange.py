"""Recorded exchanges: one good call of an action as a file, its inputs and what the provider answered, without secrets.

An action that sends several requests has those before the last one under ``before``, in their order:

    {"inputs": {…},
     "before": [{"request": "PATCH /contacts/ada?by=email", "status": 404, "answer": {…}}],
     "request": "POST /contacts", "status": 201, "answer": {…}}

A file is refused that still holds something of a secret's form: an exchange is committed, and read by everybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from integrations.sdk.action import Action
from integrations.sdk.client import Answer, Flight, Wire
from integrations.sdk.redaction import MASK

_NAMES: Final = re.compile(
    r"(?i)(proxy-)?authorization|(set-)?cookie2?|(x-)?(api[-_]?key|auth[-_]?token|access[-_]?token)|refresh[-_]?token"
    r"|((id|bot|bearer|session|security|secret)[-_]?)?token|((client|signing|webhook|app)[-_]?)?secret([-_]?key)?"
    r"|pass(word|phrase)|private[-_]?key|session([-_]?id)?|jwt"
)
# What secrets look like, by the form that their makers give them.
_FORMS: Final = re.compile(
    "|".join(
        (
            r"\bxox[a-z](\.xox[a-z])?-[\w-]{10,}",
            r"\b[sr]k[-_](live|test|proj|ant)[-_][\w-]{10,}",
            r"\bsk-[A-Za-z0-9]{20,}",
            r"\bwhsec_[\w+/=]{16,}",
            r"\b(gh[pousr]_|github_pat_|glpat-|secret_|ntn_|lin_api_|shpat_|pat-[a-z]{2}\d-)[\w-]{20,}",
            r"\bya29\.[\w-]{20,}",
            r"\bAIza[\w-]{30,}",
            r"\bAKIA[A-Z0-9]{12,}",
            r"\bSG\.[\w-]{10,}\.[\w-]{10,}",
            r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{32,}",
            r"(?<!\d)\d{6,12}:[A-Za-z0-9_-]{30,}",
            r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?",
            r"(?i:\b(bearer|basic)\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,})",
            r"(?<=://)[^/\s:@•]+:[^/\s@•]+(?=@)",
            r"(?i:(?<=[?&])(access_token|token|api_?key|key|secret|sig|signature|x-amz-[a-z-]+)=[^&#\s•]{8,})",
        )
    )
)
_MASKED: Final = re.compile(r"•+|")
# An answer without a body, as null is one with it.
EMPTY: Final = object()


class CannotRecord(Exception):
    """A call cannot become an exchange; the message says why and what to do."""


class BadExchange(Exception):
    """A file is no exchange, or holds a secret; the message names the file and the place, and not the secret."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What answers one request: JSON, or nothing where there is no ``answer``.

    ``request`` is its method and its path below the host, with the query if it has one; empty for any.
    """

    answer: Any = EMPTY
    status: int = 200
    request: str = ""

    def response(self) -> httpx.Response:
        return httpx.Response(self.status, **({} if self.answer is EMPTY else {"json": self.answer}))

    def is_to(self, request: httpx.Request) -> bool:
        """Whether it is this request that the answer is for."""
        return self.request in ("", f"{request.method} {request.url.raw_path.decode('ascii')}")

    def document(self) -> dict[str, Any]:
        """Return it as it is written, without what is as usual."""
        found = {} if self.answer is EMPTY else {"answer": self.answer}
        return found | _unusual({"status": (self.status, 200), "request": (self.request, "")})


@dataclass(frozen=True, kw_only=True)
class Exchange(Reply):
    """The last request of an action and its good answer; inputs that are not given are made from the fields' examples.

    ``before`` are the requests that come before it, where an action needs several. ``is_file`` says that the last
    answer may be anything, for it is a file's content. ``settings`` are those of the credential.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[Reply] = ()
    is_file: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def is_content(self, at: int) -> bool:
        """Whether the answer to request number ``at`` is a file's content."""
        return self.is_file and at == len(self.before)

    def in_order(self) -> list[Reply]:
        return [*self.before, self]

    def answers(self) -> list[httpx.Response]:
        """Return the good answers to all requests, in order."""
        return [each.response() for each in self.in_order()]

    def document(self) -> dict[str, Any]:
        before = [each.document() for each in self.before]
        more = {"inputs": (self.inputs, {}), "before": (before, []), "is_file": (self.is_file, False)}
        return {**_unusual({**more, "settings": (self.settings, {})}), **super().document()}

    def inputs_for(self, action: Action) -> dict[str, Any]:
        """Return the inputs, and for each further required field its first example."""
        schema = action.input_json_schema()
        made = {
            name: examples[0]
            for name in schema.get("required", ())
            if (examples := schema["properties"][name].get("examples"))
        }
        return {**made, **self.inputs}


@dataclass(kw_only=True)
class RecordingWire:
    """Passes requests on to another wire, and keeps what was answered."""

    wire: Wire
    answers: list[Answer] = field(default_factory=list)

    async def exchange(self, request: httpx.Request, flight: Flight, max_bytes: int) -> Answer:
        answer = await self.wire.exchange(request, flight, max_bytes)
        self.answers.append(answer)
        return answer


def recorded(action: Action, inputs: Mapping[str, Any], answers: Sequence[Answer]) -> Exchange:
    """Return the exchange of a call that went well. Raises CannotRecord, naming the answer that does not fit."""
    if not answers:
        raise CannotRecord(f"{action.key} asked nobody: there is no exchange to record.")
    for number, answer in enumerate(answers, 1):
        if not 200 <= answer.status < 300:
            raise CannotRecord(
                f"Answer {number} of {len(answers)} has the status {answer.status}: an exchange is of a call in which "
                "all goes well. Try it again, or write the file by hand."
            )
    bodies = [_json(answer, number) for number, answer in enumerate(answers, 1)]
    shown = {name: value for name, value in inputs.items() if name not in action.secret_inputs}
    replies = [Reply(answer=scrubbed(body), status=answer.status) for body, answer in zip(bodies, answers, strict=True)]
    last = replies.pop()
    return Exchange(inputs=scrubbed(shown), before=replies, answer=last.answer, status=last.status)


def _unusual(values: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Return what differs from its default: each is given with that."""
    return {name: value for name, (value, default) in values.items() if value != default}


def _json(answer: Answer, number: int) -> Any:
    if not answer.body:
        return EMPTY
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise CannotRecord(
            f"Answer {number} is no JSON, and an exchange holds JSON alone: write its file by hand, with is_file where "
            "the answer is a file's content."
        ) from None


def scrubbed(value: Any) -> Any:
    """Return a JSON value without what has the name or the form of a secret."""
    match value:
        case Mapping():
            return {
                name: MASK if _NAMES.fullmatch(str(name)) and not _is_harmless(item) else scrubbed(item)
                for name, item in value.items()
            }
        case list() | tuple():
            return [scrubbed(item) for item in value]
        case str():
            return _FORMS.sub(MASK, value)
    return value


def _is_harmless(value: Any) -> bool:
    return value is None or isinstance(value, bool) or (isinstance(value, str) and bool(_MASKED.fullmatch(value)))


def secrets_in(value: Any, place: str = "") -> Iterator[str]:
    """Yield the places of a JSON value that hold what has the name or the form of a secret."""
    match value:
        case Mapping():
            for name, item in value.items():
                inner = f"{place}.{name}".lstrip(".")
                if _NAMES.fullmatch(str(name)) and not _is_harmless(item):
                    yield inner
                else:
                    yield from secrets_in(item, inner)
        case list() | tuple():
            for number, item in enumerate(value):
                yield from secrets_in(item, f"{place}[{number}]")
        case str() if _FORMS.search(value):
            yield place


def load(path: Path) -> Exchange:
    """Return the exchange in a file. Raises BadExchange for one that is none, and for one that holds a secret."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if "answer" not in document and document.get("status", 200) == 200:
            raise ValueError("no answer")
        exchange = Exchange(**{**document, "before": [Reply(**each) for each in document.get("before", ())]})
    except OSError as error:
        raise BadExchange(f"{path} cannot be read ({error.strerror}).") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        known = ", ".join(Exchange.__dataclass_fields__)
        raise BadExchange(f"{path} is no exchange: a JSON object with answer, and of {known} nothing else.") from None
    found = next(secrets_in(document), None)
    if found is not None:
        raise BadExchange(
            f"{path} holds a secret at {found}: take it out, and replace it at its provider if it was ever shared. "
            f"{MASK} may stand in its place."
        )
    return exchange


def save(exchange: Exchange, path: Path) -> None:
    """Write an exchange. Raises CannotRecord where another kind of file is there, and BadExchange."""
    if path.exists():
        try:
            load(path)
        except BadExchange as error:
            raise CannotRecord(f"{path} is there and is not replaced: {error} Remove it, or name another.") from None
    document = exchange.document()
    found = next(secrets_in(document), None)
    if found is not None:
        raise BadExchange(f"What would be written to {path} holds a secret at {found}: nothing was written.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise CannotRecord(f"{path} cannot be written ({error.strerror}): name a file in a folder of yours.") from None
