"""Large values in the engine: brought when an expression reads them, and packed when a step gives them. Pure.

Both happen off the loop and within the room that a process has for large values; ``give_room`` ends that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from integrations.sdk.action import Action
from integrations.sdk.errors import InputError
from integrations.words import gettext as _
from orchestrator.flow.expressions import Template, compile_template, find_templates
from orchestrator.flow.items import as_template
from orchestrator.large import (
    ALIVE,
    Large,
    Node,
    Stored,
    Unready,
    give_room,
    large_in,
    opened,
    ready,
    room_until_written,
    take_room,
)
from orchestrator.types import JSONValue
from runs.engine.ports import Journal, Ports
from runs.engine.values import MAX_BYTES, Packed, kept, kept_large

_T = TypeVar("_T")
Clean = Callable[[Any], Any]


async def evaluated(
    ports: Ports, evaluate: Callable[[], _T], missing: Unready | None = None, *, keeps_room: bool = False
) -> _T:
    """Return what ``evaluate`` gives, with what it reads of large values brought, beginning with ``missing``.

    ``keeps_room`` is for who has what was opened for longer, and gives the room back later. Raises what ``evaluate``
    does, and TooManyValues.
    """
    try:
        return await ready(evaluate, lambda wanted: _brought(ports.journal, wanted), missing)
    finally:
        if not keeps_room:
            give_room()


async def _brought(journal: Journal, wanted: Unready) -> Any:
    await take_room(wanted.size)
    return await journal.bring(wanted.bring)


async def keep(ports: Ports, value: Any, clean: Clean | None = None) -> tuple[JSONValue, Packed | None]:
    """Return a value as it is kept, which is a Large where it is one. Raises BadJSON, and what a RawJSON says.

    For what is not quick. ``clean`` takes the place of the run's redactor.
    """
    clean = clean or ports.redactor.clean
    found = await asyncio.to_thread(kept, value, clean)
    if found is not None:
        return found
    await take_room(MAX_BYTES)
    pinned: list[Stored] = []
    try:
        for stored in [large.stored for large in large_in(value)] if ALIVE else ():
            # Held here: the thread that packs them must not have to ask the database.
            data = stored.data
            if data is None:
                data = await ports.journal.bring(stored.hold)
            stored.pin(data)
            pinned.append(stored)
        large: Any = await asyncio.to_thread(kept_large, value, clean)
        room_until_written(large.stored)
        return large, None
    finally:
        for stored in pinned:
            stored.unpin()


def opened_inputs(action: Action, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return inputs with large values as Python objects where the action looks into them.

    Raises Unready, and InputError for one with more bytes than the action opens.
    """
    return {
        name: value if _stays(action, name, value) else _opened(action, name, value) for name, value in inputs.items()
    }


def _stays(action: Action, name: str, value: Any) -> bool:
    """Whether an input is passed on as it is: where its type is any, or where what it holds is large and not itself."""
    if name not in action.passes_on:
        return False
    return not isinstance(value, Large) or action.input_schema.model_fields[name].annotation is Any


def _opened(action: Action, name: str, value: Any) -> Any:
    for large in large_in(value):
        if action.opens is not None and large.shape() and large.size > action.opens:
            raise InputError(
                _("A value of %(size)s bytes is given, and this step takes at most %(opens)s.")
                % {"size": f"{large.size:,}", "opens": f"{action.opens:,}"},
                field=name,
                hint=_("Give it only what it needs of that."),
            )
    return opened(value)


async def fields(ports: Ports, value: Any, names: Sequence[str]) -> Any:
    """Return an object that may be large with these of its members, which may be large in their turn."""
    if not isinstance(value, Large):
        return value

    def look() -> Any:
        shape = value.shape()
        return {name: value.part(name) for name in names} if isinstance(shape, Node) else shape[0]

    return await evaluated(ports, look)


async def scope_of_items(
    ports: Ports, inputs: Mapping[str, JSONValue], names: Sequence[str], scope: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return a scope for expressions over items, in which large values that they read are opened."""
    read = {
        (reference.root, *reference.parts[:1])
        for name in names
        for template in _templates(inputs.get(name))
        for reference in template.references
    }

    def opened_scope() -> Mapping[str, Any]:
        steps = {key: opened(told) if ("steps", key) in read else told for key, told in scope.get("steps", {}).items()}
        roots = {root for root, *_ in read} - {"steps"}
        return {**{name: opened(told) if name in roots else told for name, told in scope.items()}, "steps": steps}

    return await evaluated(ports, opened_scope, keeps_room=True)


def _templates(value: JSONValue) -> list[Template]:
    if isinstance(value, str):
        return [compile_template(as_template(value))]
    return [compile_template(text) for _, text in find_templates(value)]
