"""Groups of items, and one number or list out of each. Pure functions; ``data.aggregate`` is over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from integrations.builtin.lists import Rank, look_up, rank, words_for
from integrations.sdk import InputError
from integrations.words import gettext as _

Op: TypeAlias = Literal["count", "sum", "min", "max", "avg", "list"]
# A value with the index of the item it is from.
Found: TypeAlias = tuple[int, Any]


def group(items: Sequence[Any], paths: Sequence[str]) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Yield each group's keys, by path, with the indexes of its items; groups in the order of their first item.

    Without paths everything is one group, also when there is nothing.
    """
    if not paths:
        yield {}, list(range(len(items)))
        return
    groups: dict[tuple[Rank, ...], tuple[dict[str, Any], list[int]]] = {}
    for index, item in enumerate(items):
        keys = [look_up(item, path) for path in paths]
        _, members = groups.setdefault(tuple(map(rank, keys)), (dict(zip(paths, keys, strict=True)), []))
        members.append(index)
    yield from groups.values()


def reduce(op: Op, items: Sequence[Any], members: Sequence[int], paths: Sequence[str]) -> Any:
    """Return what ``op`` makes of the values at ``paths``; nulls and items without the value are left out.

    Without paths it takes the items themselves. Raises InputError naming the item that is no number.
    """
    if paths:
        every = ((index, look_up(items[index], path)) for index in members for path in paths)
    else:
        every = ((index, items[index]) for index in members)
    if op == "count" and not paths:
        return len(members)
    return _OPS[op](op, [(index, value) for index, value in every if value is not None], paths)


def _count(op: str, found: Sequence[Found], paths: Sequence[str]) -> int:
    return len(found)


def _list(op: str, found: Sequence[Found], paths: Sequence[str]) -> list[Any]:
    return [value for _index, value in found]


def _least(op: str, found: Sequence[Found], paths: Sequence[str]) -> Any:
    return min(_list(op, found, paths), key=rank, default=None)


def _greatest(op: str, found: Sequence[Found], paths: Sequence[str]) -> Any:
    return max(_list(op, found, paths), key=rank, default=None)


def _sum(op: str, found: Sequence[Found], paths: Sequence[str]) -> int | float:
    values = _numbers(op, found, paths)
    try:
        # fsum: ten times 0.1 is 1, in whatever order.
        return sum(values) if all(type(value) is int for value in values) else math.fsum(values)
    except OverflowError:
        raise InputError(_("%(op)s: the result is too large for a number.") % {"op": op}, field="operations") from None


def _average(op: str, found: Sequence[Found], paths: Sequence[str]) -> int | float | None:
    if not found:
        return None
    total = _sum(op, found, paths)
    if isinstance(total, int) and total % len(found) == 0:
        return total // len(found)
    try:
        return total / len(found)
    except OverflowError:
        raise InputError(_("%(op)s: the result is too large for a number.") % {"op": op}, field="operations") from None


def _numbers(op: str, found: Sequence[Found], paths: Sequence[str]) -> list[int | float]:
    for index, value in found:
        if type(value) is not int and type(value) is not float:
            place = _(" at %(paths)s") % {"paths": _(" or ").join(paths)} if paths else ""
            raise InputError(
                _("%(op)s takes numbers, and the item with index %(index)s has %(what)s%(place)s.")
                % {"op": op, "index": index, "what": words_for(value), "place": place},
                field="operations",
                hint=_("Leave such items out with data.filter, or make numbers of them with number() in a loop."),
            )
    return [value for _index, value in found]


_OPS: Final[Mapping[Op, Callable[[str, Sequence[Found], Sequence[str]], Any]]] = {
    "count": _count,
    "sum": _sum,
    "min": _least,
    "max": _greatest,
    "avg": _average,
    "list": _list,
}
