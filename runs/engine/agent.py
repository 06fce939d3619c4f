"""``ai.agent``: a conversation between a model and tools, as a container of rows. Pure.

Every question to the model and every use of a tool is a step of its own below the agent's row, at the path of an
iteration: ``agent[0].agent_model``, ``agent[1].lookup``, ``agent[2].agent_model``. They are counted in the order in
which they come about, which follows from what is recorded alone; so a run that goes on after a crash or an approval
counts them again, and finds in the journal each answer and each result that there was.

1. A question is asked with all that was said before. Its answer is durable before anything is done about it.
2. The calls that an answer asks for run side by side. Each may wait for an approval first, at the same number.
3. What a model does wrong is told to it, and what a tool says of a failure. What only the author can do something about
   (a credential, what is fixed) fails the agent, unless the tool may fail. What became of a call whose outcome is not
   known a person has to find out: it fails the agent in any case, as a model that is told may do it again.
4. Between answers the budget is looked at. What was used follows from the records as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from integrations.builtin.ai import MOST_MODEL_CALLS, MOST_TOOL_CALLS, AgentInputs
from integrations.sdk.chat import json_of
from integrations.sdk.errors import InputError, Permanent
from integrations.words import gettext as _
from orchestrator.flow.definition import StepConfig, StepDefinition
from orchestrator.flow.json_schemas import schema_problems, value_problems
from orchestrator.flow.tools import CALL, LANE, LONGEST_KEY, MODEL, own_keys
from orchestrator.large import LARGE_BYTES, Large, opened
from orchestrator.types import JSONValue
from runs.engine.consent import Consent, Refused, failed
from runs.engine.controls import Entered
from runs.engine.dialects import DIALECTS, Message, Result, ToolCall, said
from runs.engine.frame import Frame
from runs.engine.keeping import evaluated
from runs.engine.ports import OutOfTime, StepFailed
from runs.engine.records import Attempt
from runs.engine.spending import MOST_SAID, Spending
from runs.engine.strands import Group, Job
from runs.engine.tools import (
    ARGUMENTS,
    CUT,
    SKIPPED,
    Tool,
    heard,
    is_sayable,
    of_none,
    references,
    sayable,
    tools_of,
    written,
)
from runs.states import FailureKind, StepStatus

AT_ONCE: Final = 8
MODEL_SECONDS: Final = 300.0
# A refused, cut or wrong answer is repeated in a failure so far.
_SHOWN: Final = 300
_DONE: Final = (StepStatus.SUCCEEDED, StepStatus.SKIPPED)


async def run_agent(entered: Entered) -> JSONValue:
    """Run an agent to its answer. Raises StepFailed, InputError, Permanent, and what steps raise."""
    agent = _Agent.of(entered)
    if not entered.is_new:
        await entered.engine.ports.journal.load(entered.path, 0, MOST_MODEL_CALLS + MOST_TOOL_CALLS)
    return await agent.run()


class _Reached(Exception):
    """A limit was reached."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


@dataclass(kw_only=True)
class _Agent:
    entered: Entered
    inputs: AgentInputs
    tools: Mapping[str, Tool]
    spent: Spending
    consent: Consent
    text: str = ""
    _number: int = 0
    _messages: list[Message] = field(default_factory=list)
    _size: int = 0

    @classmethod
    def of(cls, entered: Entered) -> _Agent:
        """Return the agent of a step. Raises InputError for what no model could help."""
        inputs, step, ports = entered.inputs, entered.step, entered.engine.ports
        tools = tools_of(ports.catalog, step.lanes.get(LANE, ()))
        taken = {other.key for _path, other in entered.engine.order.definition.walk()}
        if len(step.key) > LONGEST_KEY or not taken.isdisjoint(own_keys(step.key)):
            raise InputError(
                _("The key %(key)r leaves none for the agent's own rows: give it a shorter one, or other steps others.")
                % {"key": step.key}
            )
        if inputs.output_schema is not None and (wrong := schema_problems(inputs.output_schema, of_object=True)):
            raise InputError(
                _("The schema of the answer is wrong: %(path)s %(message)s")
                % {"path": wrong[0][0], "message": wrong[0][1]},
                field="output_schema",
            )
        if inputs.max_cost is not None and ports.price(inputs.model) is None:
            raise InputError(
                _("What %(model).80r costs is not known here, so no limit in US dollars can be kept.")
                % {"model": inputs.model},
                field="max_cost",
                hint=_("Limit the tokens instead, or have the operator name the price in MODEL_PRICES."),
            )
        return cls(
            entered=entered,
            inputs=inputs,
            tools=tools,
            spent=Spending(inputs=inputs, price=ports.price),
            consent=Consent(entered=entered, inputs=inputs),
        )

    async def run(self) -> JSONValue:
        try:
            return await self._converse()
        except _Reached as reached:
            output = self._output(stopped="budget", limit=reached.limit)
            if self.inputs.on_budget == "stop":
                return output
            await self._keep(output)
            raise StepFailed(self.entered.path, self.spent.failure(reached.limit)) from None
        except (Permanent, StepFailed):
            await self._keep(self._output())
            raise

    async def _keep(self, output: JSONValue) -> None:
        """Have what a failed agent had, and used, on its row."""
        record = self.entered.record
        record.output, record.packed_output = await self.entered.engine.kept(output)

    async def _converse(self) -> JSONValue:
        dialect = DIALECTS[self.inputs.provider]
        self._say(said(self.inputs.prompt))
        corrected = False
        while True:
            output = await self._ask()
            answer = dialect.read(output)
            self.text = answer.text or self.text
            if answer.refusal is not None:
                raise Permanent(
                    _("The model refused: %(why)s") % {"why": answer.refusal[:_SHOWN] or _("it gave no reason")},
                    hint=_(
                        "Look at the task and at what the tools gave: the model, or a filter before it, takes offence."
                    ),
                )
            if answer.calls:
                self._say(dialect.answered(output))
                self._say(*dialect.results(await self._use(answer.calls, is_cut=answer.cut)))
                continue
            if answer.cut:
                raise self._cut()
            if not answer.text.strip():
                raise Permanent(
                    _("The model gave an empty answer."),
                    hint=_("Say in the instructions what the last answer should be, or choose another model."),
                )
            if self.inputs.output_schema is None:
                return self._output()
            data, problems = await self._judged(answer.text)
            if not problems:
                return self._output(data=data)
            if corrected:
                raise Permanent(
                    _("The model's answer does not fit the schema, also after it was told so: %(problems)s")
                    % {"problems": problems[:_SHOWN]},
                    hint=_("Make the schema or the instructions clearer, or choose another model."),
                )
            corrected = True
            self._say(dialect.answered(output), said(f"{problems}\nAnswer again with the JSON object alone."))

    def _output(self, *, data: JSONValue = None, stopped: str | None = None, limit: str | None = None) -> JSONValue:
        usage = self.spent.as_document()
        return {"text": self.text, "data": data, "stopped": stopped, "limit": limit, "usage": usage}

    def _cut(self) -> Exception:
        if self.spent.inputs.max_tokens is not None and self.spent.tokens >= self.spent.inputs.max_tokens:
            return _Reached("max_tokens")
        return Permanent(
            _("The model's answer was cut: it was longer than %(most)s tokens.")
            % {"most": f"{self.inputs.max_answer_tokens:,}"},
            hint=_("Allow a longer answer (max_answer_tokens), or ask for less."),
        )

    def _say(self, *messages: Message) -> None:
        for message in messages:
            text = written(message)
            self._messages.append(message if is_sayable(text) else json_of(sayable(text)))
            self._size += len(text)

    def _system(self) -> str:
        if self.inputs.output_schema is None:
            return self.inputs.instructions
        wanted = (
            "When you are done, answer with one JSON object alone, without any text around it, that fits this JSON "
            f"schema:\n{written(self.inputs.output_schema)}"
        )
        return f"{self.inputs.instructions}\n\n{wanted}".strip()

    async def _judged(self, text: str) -> tuple[Any, str]:
        """Return an answer as data, and what is wrong with it."""
        bare = text.strip()
        if bare.startswith("```") and bare.endswith("```"):
            bare = bare[3:-3].removeprefix("json").strip()
        try:
            data = json_of(bare)
        except ValueError:
            return None, "The answer is not JSON."
        found = await asyncio.to_thread(value_problems, data, self.inputs.output_schema)
        told = "; ".join(f"{path}: {message}" if path else message for path, message in found[:10])
        return data, f"The answer does not fit the JSON schema: {told}" if told else ""

    async def _ask(self) -> Mapping[str, Any]:
        """Ask the model, or find what it answered. Raises _Reached, StepFailed and what steps raise."""
        engine, dialect, spent = self.entered.engine, DIALECTS[self.inputs.provider], self.spent
        limit = spent.reached() or ("conversation" if self._size > MOST_SAID else "")
        if limit:
            raise _Reached(limit)
        found = engine.ports.catalog.find(dialect.action, {})
        if found is None or found.resolved_as != "registry":
            raise InputError(_("The action %(action)s is not installed on this worker.") % {"action": dialect.action})
        arguments: dict[str, Any] = {
            **dialect.inputs(self.inputs, spent.longest_answer()), "messages": list(self._messages)
        }  # fmt: skip
        if system := self._system():
            arguments["system"] = system
        if self.tools:
            arguments["tools"] = [tool.described() for tool in self.tools.values()]
        step = StepDefinition(
            key=self.entered.step.key + MODEL,
            name="".join(filter(str.isprintable, self.inputs.model)),
            action=dialect.action,
            credential=self.entered.step.credential,
            config=StepConfig(inputs=dict(references(arguments)), timeout=spent.seconds_left(MODEL_SECONDS)),
        )
        spent.model_calls += 1
        try:
            output, is_new = await self._step(step, self._frame(self._next(), arguments, self.entered.frame.group))
        except StepFailed as failed:
            if failed.failure.kind is FailureKind.TIMEOUT and spent.reached() and not isinstance(failed, OutOfTime):
                raise _Reached(spent.reached()) from failed
            raise
        if is_new:
            # Before anything is done about it, and before it would have to be paid for again.
            await engine.ports.journal.catch_up()
        if not isinstance(output, Mapping):
            raise Permanent(_("The model's answer is too large to go on with."), hint=_("Ask it for less."))
        if found.action.tokens is not None:
            spent.add(found.action.tokens(output))
        return output

    async def _use(self, calls: Sequence[ToolCall], *, is_cut: bool) -> list[Result]:
        """Use the tools that an answer asks for, some side by side; return what the model hears, in their order."""
        if self.spent.tool_calls + len(calls) > self.inputs.max_tool_calls:
            raise _Reached("max_tool_calls")
        self.spent.tool_calls += len(calls)
        results = [None if call.name in self.tools else of_none(call, self.tools) for call in calls]
        # What is no tool of this version has no row, and takes no number.
        numbers = {index: self._next() for index, result in enumerate(results) if result is None}

        async def use(index: int, number: int, group: Group) -> None:
            results[index] = await self._used(calls[index], number, group, is_cut=is_cut)

        async def jobs() -> AsyncGenerator[Job, None]:
            for index, number in numbers.items():
                yield partial(use, index, number)

        engine = self.entered.engine
        if numbers:
            await engine.strands.together(
                jobs(), at_once=min(AT_ONCE, len(numbers)), on_error="stop", above=self.entered.frame.group
            )
        await engine.ports.clock.breathe()
        return [result for result in results if result is not None]

    async def _used(self, call: ToolCall, number: int, group: Group, *, is_cut: bool) -> Result:
        engine, tool, arguments = self.entered.engine, self.tools[call.name], dict(call.input or {})
        step, frame = tool.called(arguments), self._frame(number, arguments, group)
        recorded = engine.ports.journal.attempts(frame.path(step.key))
        try:
            if not recorded and (problem := CUT if is_cut else tool.problem(call)):
                # On record, so that a release that takes another argument finds this one as it was.
                raise failed(engine, step, frame, InputError(problem))
            if not recorded or not _is_over(recorded[-1]):
                step, frame = await self.consent.obtained(tool, step, frame)
            output, _is_new = await self._step(step, frame)
        except Refused as refused:
            return Result(call=call, text=str(refused), is_error=True)
        except StepFailed as stopped:
            if isinstance(stopped, OutOfTime) or not tool.may_tell(stopped.failure):
                raise
            return Result(call=call, text=tool.told(stopped.failure), is_error=True)
        if frame.steps[step.key]["status"] == StepStatus.SKIPPED.value:
            return Result(call=call, text=SKIPPED, is_error=True)
        return Result(call=call, text=heard(output))

    async def _step(self, step: StepDefinition, frame: Frame) -> tuple[Any, bool]:
        """Run one step below the agent; return its output, and whether it ended only now.

        Counts its time, but for another workflow's: that may wait in its turn, and how long is not the agent's work.
        """
        engine, path = self.entered.engine, frame.path(step.key)
        journal, clock = engine.ports.journal, engine.ports.clock
        recorded, before = list(journal.attempts(path)), clock.now()
        is_new = not recorded or not _is_over(recorded[-1])
        seconds = sum(
            (attempt.finished_at - attempt.started_at).total_seconds()
            for attempt in recorded
            # A lost attempt was found as such when the next worker came: until then nobody worked.
            if attempt.finished_at and attempt.status is not StepStatus.LOST
        )
        try:
            output = await engine.sequence((step,), frame)
        finally:
            if is_new:
                seconds += (clock.now() - before).total_seconds()
            self.spent.seconds += 0.0 if step.action == CALL else seconds
        if isinstance(output, Large) and output.size <= LARGE_BYTES:
            output = await evaluated(engine.ports, partial(opened, output))
        return output, is_new

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _frame(self, number: int, arguments: Mapping[str, Any], group: Group | None) -> Frame:
        """Return the frame of what has this number; a tool reads what the agent reads, and nobody reads the tool."""
        around, path = self.entered.frame, self.entered.path
        steps = dict(around.steps)
        return replace(
            around,
            scope={**around.scope, "steps": steps, ARGUMENTS: arguments},
            steps=steps,
            prefix=f"{path}[{number}].",
            loop=path,
            item=number,
            group=group,
        )


def _is_over(last: Attempt) -> bool:
    return last.status in _DONE or (last.status is StepStatus.FAILED and last.retry_at is None)
