"""One attempt of one step: resolve → validate → credential → intent → run → classify. Pure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic import BaseModel

from integrations.sdk.action import IDEMPOTENCY_HEADER, Action
from integrations.sdk.client import StepHttp
from integrations.sdk.context import RunContext, StepLog
from integrations.sdk.dialling import Dialler
from integrations.sdk.errors import AuthError, InputError
from integrations.sdk.limits import Gate
from integrations.sdk.sensitive import masked
from integrations.sdk.state import MemoryStore, Store
from integrations.sdk.types import READS
from integrations.words import gettext as _
from orchestrator.flow.definition import StepConfig, StepDefinition
from orchestrator.flow.expressions import Rendering, compile_value, render
from orchestrator.flow.items import ItemEvaluator
from orchestrator.flow.values import Context
from orchestrator.large import ALIVE, TAKEN, Unready, give_room, opened
from orchestrator.types import JSONValue
from runs.engine.classify import failure_of, timed_out
from runs.engine.frame import Frame
from runs.engine.keeping import evaluated, keep, opened_inputs, scope_of_items
from runs.engine.memo import Memo
from runs.engine.ports import Found, OpenCredential, Ports, SecretsAway
from runs.engine.records import Attempt, Failure, RunOrder, idempotency_key
from runs.engine.secret_inputs import NOTHING_OPEN, open_inputs
from runs.engine.spending import usage_of
from runs.engine.timing import Late, within
from runs.engine.turns import pass_on
from runs.engine.values import is_quick
from runs.states import FailureKind, StepStatus

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Final = 30.0
# The client of an attempt tells more about a late answer than we can: it gets the first word.
_GRACE: Final = 0.25
MAX_LOG_BYTES: Final = 256 * 1024
_NO_CREDENTIAL: Final = OpenCredential()
PROGRESS_SECONDS: Final = 1.0
MAX_PROGRESS_TEXT: Final = 200
MOST_PROGRESS: Final = 1e15


@dataclass(frozen=True, kw_only=True)
class Call:
    """A step with its inputs resolved: which action, which inputs, and what may be done if its outcome is lost."""

    found: Found
    inputs: BaseModel

    @property
    def repeatable(self) -> bool:
        """Whether sending it again with the same key does no harm."""
        return self.found.action.repeatable(self.inputs)

    @property
    def harmless(self) -> bool:
        """Whether there is no effect that a record would have to come before: nothing needs a commit of its own."""
        action = self.found.action
        return action.pure or (action.effect in READS and self.repeatable)


def resolve(
    ports: Ports, step: StepDefinition, scope: Mapping[str, Any], secrets: Mapping[str, str] = NOTHING_OPEN.values
) -> tuple[Call, Mapping[str, Any]]:
    """Return the call that a step asks for, and its inputs as resolved, in which large values stay packed.

    Inputs over the items of a list stay as they are written: their value is another one for each item. So do secret
    ones: what is in ``secrets`` goes into the call alone, past all expressions. Raises ExpressionError, InputError, and
    Unready for what ``keeping.evaluated`` brings.
    """
    found = ports.catalog.find(step.action, step.config.inputs)
    if found is not None and found.action.as_written:
        rendered = _rendered(step.config.inputs, found.action.as_written, scope)
    else:
        rendered = _rendering(step.config)(Context(scope=scope))
    given = rendered
    if ALIVE:
        given = opened(rendered) if found is None else opened_inputs(found.action, rendered)
    if found is not None and found.resolved_as == "registry":
        given = {**given, **secrets} if secrets else given
        return Call(found=found, inputs=found.action.validate_inputs(given)), rendered
    # What stands in for an unregistered action depends on the inputs.
    found = ports.catalog.find(step.action, given)
    if found is None:
        raise InputError(
            _("There is no action %(action)r, and the step gives neither a `url` nor `code` to run instead.")
            % {"action": step.action},
            hint=_("Choose another action, or install the integration on every worker."),
        )
    return Call(found=found, inputs=found.action.validate_inputs(found.inputs)), rendered


_rendering: Final = Memo[StepConfig, Rendering](lambda config: compile_value(config.inputs))


def _rendered(inputs: Mapping[str, JSONValue], held: Sequence[str], scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the inputs evaluated, in their order, but for those ``held``."""
    made: Mapping[str, Any] = render({name: value for name, value in inputs.items() if name not in held}, scope)
    return {name: made.get(name, value) for name, value in inputs.items()}


class StepAttempt:
    """Runs one attempt; ``record`` is its journal row, finished when ``run`` returns, and ``call`` what was asked.

    ``turn`` is the moment that an attempt before it was given for its first request.
    """

    def __init__(
        self,
        order: RunOrder,
        ports: Ports,
        step: StepDefinition,
        *,
        frame: Frame,
        path: str,
        number: int,
        seconds: float,
        turn: datetime | None = None,
    ) -> None:
        self._order, self._ports, self._step = order, ports, step
        self._seconds, self._turn = seconds, turn
        self._gate: Gate | None = None
        self._told_at, self._is_told = float("-inf"), False
        self._log = StepLog()
        self._open = NOTHING_OPEN
        self.call: Call | None = None
        self.record = Attempt(
            path=path,
            loop=frame.loop,
            item=frame.item,
            key=step.key,
            name=step.name,
            action=step.action,
            number=number,
            status=StepStatus.RUNNING,
            started_at=ports.clock.now(),
            idempotency_key=idempotency_key(order.run_id, path),
        )

    @property
    def rides(self) -> bool:
        """Whether its records wait for a commit of somebody else: nothing would be done twice for want of them.

        A person who said what is to be done about a lost attempt has it on record before each one that may be lost.
        """
        if self.call is None or self.call.harmless:
            return True
        only_reads = self.call.repeatable and self.call.found.action.reads(self.call.inputs)
        return only_reads and self._step.config.on_lost is None

    async def run(self, scope: Mapping[str, Any]) -> Attempt:
        """Run the attempt. Raises SecretsAway, LeaseLost, and CancelledError when the run is stopped in mid-call."""
        record, journal = self.record, self._ports.journal
        try:
            self._open = await open_inputs(self._ports, self._order, self._step)
            resolving = partial(resolve, self._ports, self._step, scope, self._open.values)
            try:
                call, rendered = resolving()
            except Unready as missing:
                call, rendered = await evaluated(self._ports, resolving, missing, keeps_room=True)
            self.call, record.resolved_as = call, call.found.resolved_as
            credential = await self._credential(self._step.credential, call.found.action)
            clean = self._ports.redactor.clean
            if is_quick(rendered):
                record.inputs = clean(rendered)
            else:
                record.inputs, record.packed_inputs = await keep(self._ports, rendered)
            call.found.action.check_auth(credential.auth)
        except SecretsAway:
            give_room()
            raise
        except Exception as error:
            give_room()
            return self._failed(error)
        # A pure step has no effect that a record must come before: it is shown only once it takes its time.
        if not call.found.action.pure:
            await journal.begin(record, durable=not self.rides)
        try:
            self.finish(await self._run(call, credential, scope))
        except (Exception, SystemExit) as error:
            self._failed(error)
            refused = isinstance(error, AuthError)
            await pass_on(self._gate, error)
        else:
            refused = False
        finally:
            if TAKEN:
                give_room()
        self._tell(call, credential, refused=refused)
        return record

    def finish(self, failure: Failure | None, status: StepStatus | None = None) -> Attempt:
        """Set the record's end: failed if there is a failure, unless ``status`` says otherwise."""
        record = self.record
        record.failure = failure
        record.status = status or (StepStatus.FAILED if failure else StepStatus.SUCCEEDED)
        record.logs = self._lines()
        record.finished_at = self._ports.clock.now()
        return record

    def _failed(self, error: BaseException) -> Attempt:
        failure = failure_of(error, self._ports.redactor)
        if failure.kind is FailureKind.INTERNAL:
            # Where, not what: an exception's own text may hold anything.
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("Step %s (%s): %s\n%s", self.record.path, self.record.action, type(error).__name__, frames)
        return self.finish(failure)

    async def _credential(self, name: str | None, action: Action) -> OpenCredential:
        if not name:
            found = self._ports.credentials.operators(action.key)
            self._ports.redactor.add(found.secrets if found else ())
            return found or _NO_CREDENTIAL
        credential = await self._ports.credentials.open(
            tenant_id=self._order.tenant_id, name=name, credential_id=self._order.bindings.get(name)
        )
        return credential.told_to(self._ports.redactor)

    def _tell(self, call: Call, credential: OpenCredential, *, refused: bool) -> None:
        """Pass on what the provider thinks of its own credential. Whoever answers a free address is no judge of it."""
        if not self._step.credential or call.found.action.any_provider:
            return
        failure = self.record.failure
        if failure is None:
            self._ports.credentials.taken(credential, run_id=self._order.run_id)
        elif refused:
            self._ports.credentials.refused(credential, failure.message, run_id=self._order.run_id)

    async def _run(self, call: Call, credential: OpenCredential, scope: Mapping[str, Any]) -> Failure | None:
        """Call the action and keep its output; return the failure when it had none in time."""
        action, record = call.found.action, self.record
        if ALIVE and action.per_item:
            scope = await scope_of_items(self._ports, self._step.config.inputs, action.per_item, scope)
        seconds = max(0.0, min(self._step.config.timeout or action.timeout or DEFAULT_TIMEOUT, self._seconds))
        deadline = self._ports.clock.now() + timedelta(seconds=seconds)
        context = RunContext(
            inputs=call.inputs,
            auth=credential.auth,
            client=lambda: self._client(action, credential, deadline),
            log=self._log,
            tenant_id=str(self._order.tenant_id),
            run_id=str(self._order.run_id),
            step_key=self._step.key,
            attempt=record.number,
            idempotency_key=record.idempotency_key,
            deadline=deadline,
            evaluator=ItemEvaluator(self._step.config.inputs, scope) if action.per_item else None,
            store=partial(self._store, credential),
            report=partial(self._report, asyncio.get_running_loop()),
            settings=credential.settings,
            dialler=None if action.http or action.pure else self._dialler(deadline),
        )
        try:
            value = await within(seconds + _GRACE, action.run(context), waits=self._show)
        except Late:
            return timed_out(seconds, repeatable=call.repeatable)
        if action.sensitive:
            value, texts = masked(value, action.sensitive)
            # What else names them, the log for one, is masked as well.
            self._ports.redactor.add(texts)
            if record.progress is not None:
                text = self._ports.redactor.text(str(record.progress["text"]))
                record.progress = {**record.progress, "text": text}
        clean = self._ports.redactor.clean
        if is_quick(value):
            record.output = clean(value)
        else:
            record.output, record.packed_output = await keep(self._ports, value)
        if action.tokens is not None and isinstance(value, Mapping):
            record.usage = usage_of(action.tokens(value), self._ports.price, self._ports.redactor.text)
        return None

    def _report(self, loop: asyncio.AbstractEventLoop, done: float, total: float | None, text: str) -> None:
        """Keep how far the step is, and have it written once a second at most; from any thread."""
        told: dict[str, JSONValue] = {"done": _number(done), "total": None if total is None else _number(total)}
        self.record.progress = {**told, "text": self._ports.redactor.text(str(text))[:MAX_PROGRESS_TEXT]}
        if not self._is_told:
            self._is_told = True
            # A thread that nobody waits for any more may outlive the loop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell_progress, loop)

    def _tell_progress(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(max(0.0, self._told_at + PROGRESS_SECONDS - time.monotonic()), self._show_progress)

    def _show_progress(self) -> None:
        self._is_told, self._told_at = False, time.monotonic()
        if self.record.status is StepStatus.RUNNING:
            self._ports.journal.record(self.record, ride=True)

    def _show(self) -> None:
        """Let it be seen that the attempt is under way."""
        if self.record.row_id is None:
            self._ports.journal.record(self.record, ride=True)

    def _client(self, action: Action, credential: OpenCredential, deadline: datetime) -> StepHttp:
        if self._open.secrets:
            credential = replace(credential, secrets=(*credential.secrets, *self._open.secrets))
        trace = self._ports.trace
        client = self._ports.clients.client(
            action,
            credential,
            egress_allow=self._order.egress_allow,
            deadline=deadline,
            idempotency_key=self.record.idempotency_key,
            traceparent="" if trace is None else trace.parent(self.record.path, self.record.number),
        )
        if action.idempotency_header != IDEMPOTENCY_HEADER:
            client.idempotency_header = action.idempotency_header
        if self._ports.gates is not None and self.call is not None:
            client.gate = self._gate = self._ports.gates.of(
                action, self.call.inputs, credential, tenant_id=self._order.tenant_id, held=self._turn
            )
        return client

    def _store(self, credential: OpenCredential) -> Store:
        if self._ports.states is None:
            return MemoryStore()
        return self._ports.states.store(credential, self._ports.redactor.clean)

    def _dialler(self, deadline: datetime) -> Dialler:
        return self._ports.clients.dialler(egress_allow=self._order.egress_allow, deadline=deadline)

    def _lines(self) -> tuple[dict[str, str], ...]:
        """Return the step's log, redacted and within its bounds."""
        if not self._log.lines:
            return ()
        lines: list[dict[str, str]] = []
        budget = MAX_LOG_BYTES
        for line in self._log.lines:
            shown = {**line.as_dict(), "text": self._ports.redactor.text(line.text)}
            budget -= len(shown["text"])
            if budget < 0:
                lines.append({**shown, "level": "warning", "text": _("Further lines were left out.")})
                break
            lines.append(shown)
        return tuple(lines)


def _number(value: float) -> float:
    """Return a number of a progress as JSON takes it: a whole one as such."""
    number = float(value)
    if not math.isfinite(number):
        return 0
    number = max(-MOST_PROGRESS, min(MOST_PROGRESS, number))
    return int(number) if number.is_integer() else number
