"""What an action gets when it runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from integrations.sdk.auth import AuthView
from integrations.sdk.errors import InputError, Permanent
from integrations.sdk.state import State, Store
from integrations.sdk.types import JSONValue
from integrations.words import gettext as _

if TYPE_CHECKING:
    from integrations.sdk.client import StepHttp
    from integrations.sdk.dialling import Dialler

MAX_LOG_LINES: Final = 500
MAX_LOG_TEXT: Final = 4000
# Shared by all logs: held for a moment, and most steps never write a line.
_lock: Final = threading.Lock()

InputsT = TypeVar("InputsT")
# Hears how far a step is: how much of how much, and in words.
Report: TypeAlias = Callable[[float, float | None, str], None]
# Gives the value of a per-item input, by its name, for an item and its place in the list.
Evaluator: TypeAlias = Callable[[str, JSONValue, int], JSONValue]


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a step's log."""

    at: datetime
    level: str
    text: str

    def as_dict(self) -> dict[str, str]:
        return {"at": self.at.isoformat(), "level": self.level, "text": self.text}


class StepLog:
    """Collects a step's lines, bounded: ``ctx.log("text")`` and ``ctx.log.info/warning/error("text")``.

    Of too many lines the first are kept, and one line says that the rest was left out. Safe from threads.
    """

    def __init__(self, sink: Callable[[LogLine], None] | None = None) -> None:
        self._lines: list[LogLine] = []
        self._sink = sink

    def __call__(self, text: object) -> None:
        self._add("info", text)

    info = __call__

    def warning(self, text: object) -> None:
        self._add("warning", text)

    def error(self, text: object) -> None:
        self._add("error", text)

    @property
    def lines(self) -> tuple[LogLine, ...]:
        return tuple(self._lines)

    def _add(self, level: str, text: object) -> None:
        with _lock:
            if len(self._lines) > MAX_LOG_LINES:
                return
            if len(self._lines) == MAX_LOG_LINES:
                level, text = "warning", f"Further lines were left out: a step keeps {MAX_LOG_LINES}."
            line = LogLine(at=datetime.now(UTC), level=level, text=_shorten(str(text)))
            self._lines.append(line)
        if self._sink is not None:
            self._sink(line)

    def __repr__(self) -> str:
        return f"<StepLog {len(self._lines)} lines>"


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_LOG_TEXT else f"{text[:MAX_LOG_TEXT]}… ({len(text):,} characters)"


@dataclass(frozen=True, init=False, repr=False)
class RunContext(Generic[InputsT]):
    """One attempt of one step.

    ``inputs`` is the validated input model; ``auth`` the credential, read-only; ``http`` the guarded client with the
    credential and the provider's root, which ``client`` makes; ``idempotency_key`` stays the same on every attempt;
    ``deadline`` is in UTC; ``settings`` are the credential's readable ones; ``store`` is what ``state`` is kept in.
    """

    inputs: InputsT
    auth: AuthView
    client: Callable[[], StepHttp]
    log: StepLog
    tenant_id: str
    run_id: str
    step_key: str
    attempt: int
    idempotency_key: str
    deadline: datetime
    evaluator: Evaluator | None
    settings: Mapping[str, Any]
    dialler: Dialler | None
    store: Callable[[], Store] | None
    report: Report | None

    def __init__(
        self,
        *,
        inputs: InputsT,
        auth: Mapping[str, Any],
        client: Callable[[], StepHttp],
        log: StepLog,
        tenant_id: str,
        run_id: str,
        step_key: str,
        attempt: int,
        idempotency_key: str,
        deadline: datetime,
        evaluator: Evaluator | None = None,
        settings: Mapping[str, Any] = MappingProxyType({}),
        dialler: Dialler | None = None,
        store: Callable[[], Store] | None = None,
        report: Report | None = None,
    ) -> None:
        # All at once: what a frozen dataclass does by itself, a field after the other, takes longer than most steps.
        self.__dict__.update(
            inputs=inputs,
            auth=auth if isinstance(auth, AuthView) else AuthView(auth),
            client=client,
            log=log,
            tenant_id=tenant_id,
            run_id=run_id,
            step_key=step_key,
            attempt=attempt,
            idempotency_key=idempotency_key,
            deadline=deadline,
            evaluator=evaluator,
            settings=settings,
            dialler=dialler,
            store=store,
            report=report,
        )

    def evaluate(self, name: str, item: JSONValue, index: int) -> JSONValue:
        """Return the value of the per-item input ``name`` where ``item`` and ``index`` are these.

        Call it from one thread at a time, whichever. Raises what a step's own expressions raise, naming input and item.
        """
        if self.evaluator is None:
            raise InputError(
                _("%(name)s is an expression over items, and nothing here can evaluate it.") % {"name": name},
                field=name,
            )
        return self.evaluator(name, item, index)

    def dial(self, host: str, port: int) -> socket.socket:
        """Return a connection to a host that speaks no HTTP, under the same guard; it blocks, so call it in a thread.

        Its timeout is what is left of the deadline. Raises AddressRefused and Transient; Permanent where nothing here
        may connect.
        """
        if self.dialler is None:
            raise Permanent(_("Only HTTP is spoken from here."))
        return self.dialler(host, port)

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host that may be connected to, for a library that makes its connections itself.

        Connect to one of these and look nothing up again. It blocks and raises as ``dial`` does.
        """
        if self.dialler is None:
            raise Permanent(_("Only HTTP is spoken from here."))
        return self.dialler.addresses(host, port)

    @cached_property
    def http(self) -> StepHttp:
        """The client, made when it is first asked for: most steps that speak no HTTP never do."""
        return self.client()

    @cached_property
    def state(self) -> State:
        """What the action keeps from one attempt or run to the next. Raises Permanent where nothing here keeps it."""
        if self.store is None:
            raise Permanent(_("Nothing is kept from here."))
        return State(store=self.store())

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Show how far the step is: ``done`` of ``total``, and what it does now. As often as you like, from any thread.

        What is shown is at most a second old.
        """
        if self.report is not None:
            self.report(done, total, text)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def remaining(self) -> float:
        """Return the seconds until the deadline, never less than zero."""
        return max(0.0, (self.deadline - self.now).total_seconds())

    def __repr__(self) -> str:
        return f"<RunContext run={self.run_id} step={self.step_key} attempt={self.attempt}>"
