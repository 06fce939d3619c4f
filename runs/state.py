"""What the actions of one run keep: read by a reader's thread, written by the writer's under the run's lease."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.utils.translation import gettext as _

from integrations.sdk.errors import Permanent
from integrations.sdk.state import Change, Kept, ScopeName
from orchestrator import jsongate
from runs.adapters import Readers
from runs.claims import Claimed
from runs.engine.ports import LeaseLost, OpenCredential
from runs.models import Run
from runs.state_rows import Owner, state_read, state_write
from runs.writer import Job, written


@dataclass(frozen=True, kw_only=True)
class RunStates:
    """The values of one run, as a driver has it."""

    claim: Claimed
    owner: str
    readers: Readers
    put: Callable[[Job], None]

    def store(self, credential: OpenCredential, clean: Callable[[Any], Any]) -> RunStore:
        return RunStore(run=self, credential=credential, clean=clean)


@dataclass(frozen=True, kw_only=True)
class RunStore:
    """The same for one attempt: with its credential, and with what takes secrets out of what is kept."""

    run: RunStates
    credential: OpenCredential
    clean: Callable[[Any], Any]

    async def read(self, scope: ScopeName, key: str) -> Kept:
        text, revision = await self.run.readers.read(partial(state_read, self._owner(scope), key))
        return Kept(value=json.loads(text), revision=revision)

    async def write(self, scope: ScopeName, key: str, change: Change) -> bool:
        if change.text is not None:
            try:
                cleaned = self.clean(jsongate.loads(change.text))
            except jsongate.BadJSON as error:
                raise Permanent(
                    _("What a step keeps must be JSON, and this is not: %(why)s.") % {"why": error}
                ) from None
            change = replace(change, text=jsongate.dumps(cleaned))
        work = partial(self._write, self._owner(scope), key, change, uuid.uuid4().hex)
        found = await written(self.run.put, work)
        if isinstance(found, Exception):
            raise found
        return bool(found)

    def _write(self, owner: Owner, key: str, change: Change, mark: str) -> bool | Exception:
        """Write, and return what is against it: raised here, it would undo what others write with it."""
        claim = self.run.claim
        ours = Run.objects.for_tenant(claim.tenant_id).filter(pk=claim.run_id, lease_owner=self.run.owner)
        # Locked until this is committed: nobody takes the run over in between.
        if ours.select_for_update(no_key=True).values_list("fence", flat=True).first() != claim.fence:
            return LeaseLost(f"run {claim.run_id} is driven by somebody else")
        try:
            return state_write(owner, key, change, mark=mark)
        except Permanent as error:
            return error

    def _owner(self, scope: ScopeName) -> Owner:
        claim = self.run.claim
        found = {
            "run": claim.run_id,
            "workflow": claim.workflow_id,
            "credential": getattr(self.credential.mark, "credential_id", None),
        }
        pk = found[scope]
        if pk is None:
            raise Permanent(_("This step has no credential, so nothing can be kept for it."))
        return Owner(tenant_id=claim.tenant_id, scope=scope, pk=pk)
