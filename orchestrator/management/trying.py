"""``integration try``: one action, poll or request at once, with a credential of a tenant, outside of any workflow."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from django.conf import settings
from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime

from integrations.registry import Trigger, http_options, registry
from integrations.sdk import Action, IntegrationError, LogLine, PollingTrigger, RunContext, StepLog, WebhookTrigger
from integrations.sdk.auth import AuthView
from integrations.sdk.contract import replay_problem
from integrations.sdk.dialling import dialler
from integrations.sdk.exchange import BadExchange, CannotRecord, RecordingWire, recorded, save
from integrations.sdk.http import HttpPool
from integrations.sdk.polling import Item
from integrations.sdk.state import MemoryStore
from integrations.sdk.webhook import WebhookContext, WebhookRequest
from orchestrator.egress import egress_policy
from orchestrator.flow.items import ItemEvaluator
from orchestrator.flow.values import ExpressionError
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.renewal import fresh_credential
from runs.triggers.events import Unread, read_request
from runs.triggers.signatures import BadSignature

TRY_SECONDS: Final = 60.0
_OF_POLLS: Final = ("cursor",)
_OF_REQUESTS: Final = ("body", "headers", "method", "secret_file", "at")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was asked for on the command line; empty where it was not."""

    key: str
    inputs: Sequence[str] = ()
    credential: str = ""
    tenant: str = ""
    record: Path | None = None
    cursor: str = ""
    body: Path | None = None
    headers: Sequence[str] = ()
    method: str = ""
    secret_file: Path | None = None
    at: str = ""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A credential for one call, or none."""

    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    egress_allow: tuple[str, ...] = ()
    tenant_id: str = ""


def tried(trial: Trial, say: Callable[[str], None]) -> Any:
    """Return what an action gives, a poll finds or a request says, as JSON without a secret; ``say`` gets its log.

    Raises CommandError: one sentence with the kind of the error and what to do.
    """
    found = registry.get(trial.key) or registry.trigger(trial.key)
    match found:
        case Action():
            _refuse(trial, (*_OF_POLLS, *_OF_REQUESTS), "an action")
            return _action(found, trial, say)
        case PollingTrigger():
            _refuse(trial, ("record", *_OF_REQUESTS), "a trigger that is asked")
            return _poll(found, trial, say)
        case WebhookTrigger():
            _refuse(trial, ("record", "credential", "tenant", *_OF_POLLS), "a trigger that is called")
            return _request(found, trial, say)
    raise CommandError(f"There is no action or trigger {trial.key!r}: `manage.py integration list` shows them.")


def _refuse(trial: Trial, names: Sequence[str], what: str) -> None:
    given = next((name for name in names if getattr(trial, name)), None)
    if given is not None:
        raise CommandError(f"--{given.replace('_', '-')} says nothing to {what}: leave it out for {trial.key}.")


def _action(action: Action, trial: Trial, say: Callable[[str], None]) -> Any:
    """Run an action as a step would; a secret input takes the value itself, and not a credential's name."""
    given = _parsed(action, trial.inputs)
    opened = _open(trial.credential, trial.tenant)
    secrets = tuple(str(given[name]) for name in action.secret_inputs if given.get(name))
    opened = replace(opened, secrets=(*opened.secrets, *secrets))
    if trial.record is not None and not action.http:
        raise CommandError(f"{action.key} speaks no HTTP, so there is no exchange to record: leave out --record.")
    clean, wires = Redactor(opened.secrets), list[RecordingWire]()
    output = _called(action, given, opened, clean, say, action.run, wires)
    if trial.record is not None:
        _record(action, clean.clean(given), wires[0], clean, trial.record)
        say(f"wrote {trial.record}")
    return clean.clean(output)


def _record(action: Action, given: Mapping[str, Any], wire: RecordingWire, clean: Redactor, path: Path) -> None:
    """Write what was asked and answered, once it is certain that it can be replayed without its secrets."""
    try:
        exchange = recorded(action, given, [replace(each, body=_cleaned(each.body, clean)) for each in wire.answers])
        problem = replay_problem(action, exchange)
        if problem:
            raise CannotRecord(
                f"Without its secrets the exchange cannot be replayed, so nothing was written: {problem} Write it by "
                "hand, from the provider's documentation."
            )
        save(exchange, path)
    except (CannotRecord, BadExchange) as error:
        raise CommandError(clean.text(str(error))) from None


def _cleaned(body: bytes, clean: Redactor) -> bytes:
    """Return a JSON body without the credential's secrets, in whatever spelling."""
    try:
        return json.dumps(clean.clean(json.loads(body)), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return body


def _poll(trigger: PollingTrigger, trial: Trial, say: Callable[[str], None]) -> Any:
    """Ask once what is new, and say where the next poll begins."""
    given = _parsed(trigger, trial.inputs)
    opened = _open(trial.credential, trial.tenant)
    clean, cursor = Redactor(opened.secrets), _json(trial.cursor, "--cursor") if trial.cursor else None
    found = _called(trigger, given, opened, clean, say, lambda context: trigger.poll(context, cursor), [])
    if cursor is None and trigger.first_run == "skip":
        say("A first poll only remembers what is there; what comes after this cursor starts runs.")
    shown = {"items": _rows(found.items), "cursor": found.cursor, "more": found.more}
    return clean.clean(shown)


def _request(trigger: WebhookTrigger, trial: Trial, say: Callable[[str], None]) -> Any:
    """Check and read a request that lies in a file, as the web process does."""
    if trial.body is None:
        raise CommandError(f"{trigger.key} is called by its provider: give a request's body with --body FILE.")
    secret = _file(trial.secret_file).decode("utf-8", "replace").strip() if trial.secret_file else ""
    is_checked = bool(secret) or trigger.verify == "none"
    if not is_checked:
        say("The signature was not checked: give the secret in a file with --secret-file FILE, or - for the input.")
    headers = _headers(trial.headers)
    method = trial.method or next(iter(trigger.methods))
    if method not in trigger.methods:
        raise CommandError(f"{trigger.key} takes {', '.join(trigger.methods)}, not {method}: choose one with --method.")
    asked = WebhookRequest(method=method, headers=headers, body=_file(trial.body))
    clean = Redactor((secret,))
    now = _moment(trial.at) if trial.at else time.time()
    try:
        context = WebhookContext(inputs=trigger.validate_inputs(_parsed(trigger, trial.inputs)), secret=secret)
        read = read_request(trigger, context, asked, _environ(headers), now=now, is_checked=is_checked)
    except BadSignature as error:
        raise CommandError(
            clean.text(
                f"auth: {error.message} Give the body byte by byte as it came, its headers with --header, and for an "
                "old request the time at which it came with --at."
            )
        ) from None
    except Unread as error:
        raise CommandError(clean.text(f"input: the request cannot be read: {error.message}")) from None
    except IntegrationError as error:
        raise CommandError(clean.text(_told(error))) from None
    shown: dict[str, Any] = {"checked": is_checked}
    if read.reply is not None:
        shown["reply"] = asdict(read.reply)
    else:
        shown |= {"delivery": read.delivery, "items": _rows(read.items)}
    return clean.clean(shown)


def _rows(items: Sequence[Item]) -> list[dict[str, Any]]:
    return [{"id": item.id, "data": item.data} for item in items]


def _called(
    declared: Action | Trigger,
    given: Mapping[str, Any],
    opened: _Opened,
    clean: Redactor,
    say: Callable[[str], None],
    call: Callable[[RunContext[Any]], Awaitable[T]],
    wires: list[RecordingWire],
) -> T:
    """Return what a call gives. Raises CommandError for what it raises, without the secrets."""

    def show(line: LogLine) -> None:
        say(f"{line.level}: {clean.text(line.text)}")

    try:
        return asyncio.run(_run(declared, given, opened, StepLog(show), call, wires))
    except ExpressionError as error:
        raise CommandError(clean.text(f"input: {error.message} ({error.where})")) from None
    except IntegrationError as error:
        raise CommandError(clean.text(_told(error))) from None
    except TimeoutError:
        raise CommandError(f"timeout: {declared.key} took too long: ask for less, or give it timeout=….") from None


def _told(error: IntegrationError) -> str:
    return f"{error.kind}: {' '.join(part for part in (error.message, error.hint) if part)}"


async def _run(
    declared: Action | Trigger,
    given: Mapping[str, Any],
    opened: _Opened,
    log: StepLog,
    call: Callable[[RunContext[Any]], Awaitable[T]],
    wires: list[RecordingWire],
) -> T:
    inputs = declared.validate_inputs(given)
    declared.check_auth(opened.auth)
    seconds = declared.timeout or TRY_SECONDS
    deadline, key = datetime.now(UTC) + timedelta(seconds=seconds), uuid.uuid4().hex
    policy = egress_policy()
    pool = HttpPool(policy)
    try:
        http = pool.client(
            **http_options(declared, opened.auth, opened.settings, settings.ENV.base_urls),
            egress_allow=opened.egress_allow,
            deadline=deadline,
            idempotency_key=key,
            secrets=opened.secrets,
        )
        http.wire = wire = RecordingWire(wire=pool)
        wires.append(wire)
        context: RunContext[Any] = RunContext(
            inputs=inputs,
            auth=AuthView(opened.auth),
            client=lambda: http,
            log=log,
            tenant_id=opened.tenant_id,
            run_id=key,
            step_key="try",
            attempt=1,
            idempotency_key=key,
            deadline=deadline,
            evaluator=ItemEvaluator(given, {}) if isinstance(declared, Action) and declared.per_item else None,
            settings=opened.settings,
            dialler=dialler(policy, egress_allow=opened.egress_allow, deadline=deadline),
            store=MemoryStore,
        )
        async with asyncio.timeout(seconds + 1):
            return await call(context)
    finally:
        await pool.aclose()


def _parsed(declared: Action | Trigger, given: Sequence[str]) -> dict[str, Any]:
    """Return ``name=value`` pairs as inputs; a value that is no text for its field is read as JSON."""
    inputs: dict[str, Any] = {}
    properties = declared.input_json_schema().get("properties", {})
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator:
            raise CommandError(f"--input takes NAME=VALUE, and {pair!r} has no equals sign.")
        is_text = name in declared.secret_inputs or properties.get(name, {}).get("type") == "string"
        inputs[name] = value if is_text else _json_or_text(value)
    return inputs


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _json(value: str, option: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise CommandError(
            f"{option} takes JSON, as the poll before printed it: a text has quotes of its own."
        ) from None


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    lines = [line for each in given for line in (_lines(Path(each[1:])) if each.startswith("@") else [each])]
    for line in lines:
        name, separator, value = line.partition(":")
        if not separator or not name.strip():
            raise CommandError("--header takes 'Name: value', and one that was given has no colon.")
        headers[name.strip().lower()] = value.strip()
    return headers


def _lines(path: Path) -> list[str]:
    return [line for line in _file(path).decode("utf-8", "replace").splitlines() if line.strip()]


def _environ(headers: Mapping[str, str]) -> dict[str, str]:
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}


def _file(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read ({error.strerror}): name a file, or - for the input.") from None


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError("--at takes seconds since 1970, or a time like 2026-05-04T07:00:00Z.")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _open(name: str, slug: str) -> _Opened:
    if not name and not slug:
        return _Opened()
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        raise CommandError(
            f"There is no tenant {slug!r}: make one with `python manage.py tenant create {slug}`."
            if slug
            else "A credential belongs to a tenant: give --tenant."
        )
    reach = tuple(tenant.egress_allow or ())
    if not name:
        return _Opened(egress_allow=reach, tenant_id=str(tenant.pk))
    # Whoever has this terminal may use every one.
    pk = Credential.objects.for_tenant(tenant).filter(name=name).values_list("pk", flat=True).first()
    resolved = fresh_credential(tenant=tenant, credential_id=pk, name=name)
    return _Opened(
        auth=resolved.auth,
        settings=resolved.settings,
        secrets=resolved.secrets,
        egress_allow=reach,
        tenant_id=str(tenant.pk),
    )
