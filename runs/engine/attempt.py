"""One attempt of one step: resolve → validate → credential → intent → run → classify. Pure."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel

from integrations.sdk.auth import AuthView
from integrations.sdk.client import StepHttp
from integrations.sdk.context import RunContext, StepLog
from integrations.sdk.errors import InputError
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.expressions import render
from orchestrator.flow.items import ItemEvaluator
from orchestrator.large import ALIVE, TAKEN, Unready, give_room, opened
from orchestrator.types import JSONValue
from runs.engine.classify import failure_of, timed_out
from runs.engine.frame import Frame
from runs.engine.keeping import evaluated, keep, scope_of_items
from runs.engine.ports import Found, OpenCredential, Ports
from runs.engine.records import Attempt, Failure, RunOrder, idempotency_key
from runs.engine.timing import Late, within
from runs.engine.values import is_quick
from runs.states import FailureKind, StepStatus

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Final = 30.0
# The client of an attempt tells more about a late answer than we can: it gets the first word.
_GRACE: Final = 0.25
MAX_LOG_BYTES: Final = 256 * 1024
_NO_CREDENTIAL: Final = OpenCredential()
_READS: Final = frozenset({"read", "search"})


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
        return action.pure or (action.effect in _READS and self.repeatable)


def resolve(ports: Ports, step: StepDefinition, scope: Mapping[str, Any]) -> tuple[Call, Mapping[str, Any]]:
    """Return the call that a step asks for, and its inputs as resolved, in which large values stay packed.

    Inputs over the items of a list stay as they are written: their value is another one for each item. Raises
    ExpressionError, InputError, and Unready for what ``keeping.evaluated`` brings.
    """
    inputs = step.config.inputs
    known = ports.catalog.find(step.action, inputs)
    rendered = _rendered(inputs, known.action.per_item if known is not None else (), scope)
    given = rendered
    if ALIVE:
        given = opened(rendered) if known is None else known.action.opened_inputs(rendered)
    # What stands in for an unregistered action depends on the inputs.
    is_known = known is not None and known.resolved_as == "registry"
    found = known if is_known else ports.catalog.find(step.action, given)
    if found is None:
        raise InputError(
            f"There is no action {step.action!r}, and the step gives neither a `url` nor `code` to run instead.",
            hint="Choose another action, or install the integration on every worker.",
        )
    return Call(found=found, inputs=found.action.validate_inputs(given if is_known else found.inputs)), rendered


def _rendered(inputs: Mapping[str, JSONValue], held: Sequence[str], scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the inputs evaluated, in their order, but for those ``held``."""
    if not held:
        return render(dict(inputs), scope)  # type: ignore[no-any-return]
    made: Mapping[str, Any] = render({name: value for name, value in inputs.items() if name not in held}, scope)
    return {name: made.get(name, value) for name, value in inputs.items()}


class StepAttempt:
    """Runs one attempt; ``record`` is its journal row, finished when ``run`` returns, and ``call`` what was asked."""

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
    ) -> None:
        self._order, self._ports, self._step = order, ports, step
        self._seconds = seconds
        self._log = StepLog()
        self.call: Call | None = None
        self._evaluator: ItemEvaluator | None = None
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
    def harmless(self) -> bool:
        return self.call is None or self.call.harmless

    async def run(self, scope: Mapping[str, Any]) -> Attempt:
        """Run the attempt. Raises LeaseLost, and CancelledError when the run is stopped in mid-call."""
        try:
            credential = await self._prepare(scope)
        except Exception as error:
            give_room()
            return self._failed(error)
        await self._ports.journal.begin(self.record, durable=not self.harmless)
        try:
            return self.finish(await self._run(credential))
        except (Exception, SystemExit) as error:
            return self._failed(error)
        finally:
            if TAKEN:
                give_room()

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

    async def _prepare(self, scope: Mapping[str, Any]) -> OpenCredential:
        try:
            call, rendered = resolve(self._ports, self._step, scope)
        except Unready as missing:
            call, rendered = await evaluated(self._ports, lambda: resolve(self._ports, self._step, scope), missing)
        self.call = call
        self.record.resolved_as = call.found.resolved_as
        if call.found.action.per_item:
            inputs = self._step.config.inputs
            if ALIVE:
                scope = await scope_of_items(self._ports, inputs, call.found.action.per_item, scope)
            self._evaluator = ItemEvaluator(inputs, scope)
        credential = await self._credential(self._step.credential) if self._step.credential else _NO_CREDENTIAL
        redactor = self._ports.redactor
        redactor.add(credential.secrets)
        if is_quick(rendered):
            self.record.inputs = redactor.clean(rendered)
        else:
            self.record.inputs, self.record.packed_inputs = await keep(self._ports, rendered)
        call.found.action.check_auth(credential.auth)
        return credential

    async def _credential(self, name: str) -> OpenCredential:
        return await self._ports.credentials.open(
            tenant_id=self._order.tenant_id, name=name, credential_id=self._order.bindings.get(name)
        )

    async def _run(self, credential: OpenCredential) -> Failure | None:
        """Call the action and keep its output; return the failure when it had none in time."""
        assert self.call is not None
        seconds = self._timeout()
        context = self._context(credential, seconds)
        try:
            value = await within(seconds + _GRACE, self.call.found.action.run(context))
        except Late:
            return timed_out(seconds, repeatable=self.call.repeatable)
        if is_quick(value):
            self.record.output = self._ports.redactor.clean(value)
        else:
            self.record.output, self.record.packed_output = await keep(self._ports, value)
        return None

    def _timeout(self) -> float:
        assert self.call is not None
        own = self._step.config.timeout or self.call.found.action.timeout or DEFAULT_TIMEOUT
        return max(0.0, min(own, self._seconds))

    def _context(self, credential: OpenCredential, seconds: float) -> RunContext[Any]:
        assert self.call is not None
        record = self.record
        deadline = self._ports.clock.now() + timedelta(seconds=seconds)
        return RunContext(
            inputs=self.call.inputs,
            auth=AuthView(credential.auth),
            client=lambda: self._client(credential, deadline),
            log=self._log,
            tenant_id=str(self._order.tenant_id),
            run_id=str(self._order.run_id),
            step_key=self._step.key,
            attempt=record.number,
            idempotency_key=record.idempotency_key,
            deadline=deadline,
            evaluator=self._evaluator,
        )

    def _client(self, credential: OpenCredential, deadline: datetime) -> StepHttp:
        assert self.call is not None
        return self._ports.clients.client(
            self.call.found.action,
            credential,
            egress_allow=self._order.egress_allow,
            deadline=deadline,
            idempotency_key=self.record.idempotency_key,
        )

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
                lines.append({**shown, "level": "warning", "text": "Further lines were left out."})
                break
            lines.append(shown)
        return tuple(lines)
