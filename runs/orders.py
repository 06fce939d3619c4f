"""What a claimed run is driven by: its plan and its tenant's facts, what started it, and what it did before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator import jsongate
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.large import LARGE_BYTES, Large
from orchestrator.types import JSONValue
from runs.adapters import answers_of
from runs.claims import Claimed
from runs.engine.records import Attempt, Failure, Given, RunOrder
from runs.journal import history
from runs.links import run_url
from runs.models import Payload
from runs.plans import Plan, Plans, TenantFacts
from runs.states import StepStatus
from runs.values import SEED_LEVELS, opened, stored_at, unfolded


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was read of a run: ``recorded`` are its attempts, ``answers`` what it was answered by path and attempt."""

    order: RunOrder
    facts: TenantFacts
    recorded: list[Attempt]
    answers: Mapping[tuple[str, int], Mapping[str, Any]]


def order_kept(claim: Claimed, plans: Plans) -> tuple[RunOrder, TenantFacts] | None:
    """Return what a run is driven by where all of it is kept: it is fresh and has nothing of its own to be read."""
    plan, facts = plans.kept(claim.version_id), plans.kept_tenant(claim.tenant_id)
    if plan is not None and facts is not None and claim.fresh and claim.trigger_ref is None and not claim.seed:
        return _order(claim, plan, facts, claim.trigger, {}), facts
    return None


def order_read(claim: Claimed, plans: Plans) -> Found:
    """Read what is not kept, in a reader's thread."""
    plan = plans.kept(claim.version_id) or plans.read(claim.version_id, claim.tenant_id)
    facts = plans.kept_tenant(claim.tenant_id) or plans.read_tenant(claim.tenant_id)
    trigger = claim.trigger if claim.trigger_ref is None else _stored(claim, claim.trigger_ref, jsongate.MAX_BYTES)
    seed = claim.seed or {}
    if "ref" in seed:
        seed = unfolded(_stored(claim, seed["ref"], LARGE_BYTES), SEED_LEVELS)
    keys = (step.key for _, step in plan.definition.walk())
    return Found(
        order=_order(claim, plan, facts, trigger, seed),
        facts=facts,
        recorded=[] if claim.fresh else history(claim.run_id, claim.tenant_id, keys),
        answers=answers_of(claim.run_id, claim.tenant_id) if claim.signals else {},
    )


def _stored(claim: Claimed, ref: int, beyond: int) -> Any:
    """Return a value that the run was given: ``beyond`` so many bytes it is read as it is needed."""
    payload = Payload.objects.for_tenant(claim.tenant_id).defer("data").get(run=claim.run_id, pk=ref)
    if payload.size > beyond:
        large: Large = stored_at(tenant_id=claim.tenant_id, run_id=claim.run_id, ref=ref)
        large.stored.learn()
        if large.stored.root is not None:
            return large
    return opened(payload)


def _order(claim: Claimed, plan: Plan, facts: TenantFacts, trigger: JSONValue, seed: Mapping[str, Any]) -> RunOrder:
    return RunOrder(
        run_id=claim.run_id,
        tenant_id=claim.tenant_id,
        definition=plan.definition,
        bindings=plan.bindings,
        # Only a webhook that keeps the bytes it got has them; every other trigger reads as having none.
        trigger={"raw": None, **trigger} if isinstance(trigger, dict) else trigger,
        run=_run_scope(claim, facts),
        workflow=_workflow_scope(claim, plan.definition, plan.number),
        variables=facts.variables,
        egress_allow=facts.egress_allow,
        given={path: _given(outcome) for path, outcome in seed.get("steps", {}).items()},
        only=seed.get("only"),
        active_seconds=claim.active_ms / 1000,
    )


def _run_scope(claim: Claimed, facts: TenantFacts) -> dict[str, JSONValue]:
    return {
        "id": str(claim.run_id),
        "url": run_url(facts.slug, claim.run_id),
        "started_at": claim.created_at.isoformat(),
        "kind": claim.kind,
        "links": {},
    }


def _workflow_scope(claim: Claimed, definition: WorkflowDefinition, number: int | None) -> dict[str, JSONValue]:
    return {"id": str(claim.workflow_id), "name": definition.name, "slug": definition.slug, "version": number}


def _given(outcome: Mapping[str, Any]) -> Given:
    error = outcome.get("error")
    return Given(
        status=StepStatus(outcome.get("status", StepStatus.SUCCEEDED)),
        output=outcome.get("output"),
        failure=Failure.from_document(error) if error else None,
    )
