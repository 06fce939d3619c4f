"""``ctx.state``: small values that an action keeps for its run, its workflow or its credential."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from integrations.sdk.errors import Permanent, Transient
from integrations.sdk.types import JSONValue
from integrations.words import gettext as _

ScopeName: TypeAlias = Literal["run", "workflow", "credential"]

MAX_STATE_BYTES: Final = 16 * 1024
# Of one run, workflow or credential.
MAX_STATE_KEYS: Final = 100
_KEY: Final = re.compile(r"[\x21-\x7e]{1,100}")
_TRIES: Final = 20


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A value as it is kept; ``revision`` grows with each change and is 0 where there is none."""

    value: JSONValue = None
    revision: int = 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of a value: another one, or none where ``text`` is None.

    It happens only where the value has ``revision``; None is for any.
    """

    text: str | None
    revision: int | None = None


class Store(Protocol):
    """Where values are kept; a change is durable once ``write`` returns."""

    async def read(self, scope: ScopeName, key: str) -> Kept: ...

    async def write(self, scope: ScopeName, key: str, change: Change) -> bool:
        """Change a value; return whether it was as the change wants it. Raises Permanent for one key too many."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Values by key: JSON of at most 16 KB each, at most 100 keys. Other steps may change them at the same time.

    What was written stays when the step fails or its worker goes away: the next attempt sees it.
    """

    name: ScopeName
    store: Store

    async def get(self, key: str, default: JSONValue = None) -> JSONValue:
        """Return the value, or ``default`` where there is none."""
        kept = await self.store.read(self.name, _checked(key))
        return kept.value if kept.revision else default

    async def set(self, key: str, value: JSONValue) -> None:
        """Keep a value, whatever was there."""
        await self.store.write(self.name, _checked(key), Change(text=_text(value)))

    async def delete(self, key: str) -> None:
        await self.store.write(self.name, _checked(key), Change(text=None))

    async def compare_and_set(self, key: str, expected: JSONValue, value: JSONValue) -> bool:
        """Keep ``value`` if there is ``expected`` now, None standing for nothing, too; return whether it was."""
        kept = await self.store.read(self.name, _checked(key))
        if kept.value != expected:
            return False
        return await self.store.write(self.name, key, Change(text=_text(value), revision=kept.revision))

    async def update(self, key: str, change: Callable[[JSONValue], JSONValue]) -> JSONValue:
        """Keep what ``change`` makes of the value (None where there is none), and return it.

        ``change`` is called again where somebody else was quicker, so it must do nothing else. Raises Transient.
        """
        for _try in range(_TRIES):
            kept = await self.store.read(self.name, _checked(key))
            made = change(kept.value)
            if await self.store.write(self.name, key, Change(text=_text(made), revision=kept.revision)):
                return made
        raise Transient(
            _("Too many steps changed what is kept under %(key)r at the same time.") % {"key": key}, retry_after=1
        )


@dataclass(frozen=True, kw_only=True)
class State:
    """What an action keeps: for its run, for its workflow's runs, or for all that use its credential."""

    store: Store

    @property
    def run(self) -> Scope:
        return Scope(name="run", store=self.store)

    @property
    def workflow(self) -> Scope:
        return Scope(name="workflow", store=self.store)

    @property
    def credential(self) -> Scope:
        return Scope(name="credential", store=self.store)


class MemoryStore:
    """Keeps values for as long as it lives: for what calls an action without a run, and for tests."""

    def __init__(self) -> None:
        self._kept: dict[tuple[ScopeName, str], Kept] = {}

    async def read(self, scope: ScopeName, key: str) -> Kept:
        return self._kept.get((scope, key), Kept())

    async def write(self, scope: ScopeName, key: str, change: Change) -> bool:
        now = self._kept.get((scope, key), Kept())
        if change.revision is not None and change.revision != now.revision:
            return False
        if change.text is None:
            self._kept.pop((scope, key), None)
            return True
        if not now.revision and sum(1 for name, _key in self._kept if name == scope) >= MAX_STATE_KEYS:
            raise too_many_keys()
        self._kept[scope, key] = Kept(value=json.loads(change.text), revision=now.revision + 1)
        return True


def too_many_keys() -> Permanent:
    return Permanent(
        _("At most %(most)s values are kept for a run, a workflow or a credential.") % {"most": MAX_STATE_KEYS},
        hint=_("Delete those that are needed no more, or keep several of them under one key."),
    )


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Permanent(
            _("A key of what a step keeps has 1 to 100 characters, without spaces: %(key).40r.") % {"key": key}
        )
    return key


def _text(value: JSONValue) -> str:
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise Permanent(_("What a step keeps must be JSON.")) from None
    if len(text) > MAX_STATE_BYTES:
        raise Permanent(
            _("A value that a step keeps has at most %(most)s bytes, and this one has %(size)s.")
            % {"most": f"{MAX_STATE_BYTES:,}", "size": f"{len(text):,}"},
            hint=_("Give it as the step's output instead, or keep less of it."),
        )
    return text
