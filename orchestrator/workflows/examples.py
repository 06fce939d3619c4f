"""Three worked examples of a first start; they run offline, and each shows another part of the product."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.tenants.access import Actor
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow

_TOTALS: Final = """\
def main(input):
    lines = input["lines"]
    total = sum(line["quantity"] * line["price"] for line in lines)
    print("added up", len(lines), "lines")
    return {"total": round(total, 2), "lines": len(lines), "large": total >= 100}
"""


def examples(base_url: str) -> tuple[dict[str, Any], ...]:
    """Return the documents; ``base_url`` is where the product itself answers."""
    return (_health(base_url), _greeting(), _order())


def examples_create(*, actor: Actor, base_url: str) -> list[Workflow]:
    """Make and publish the examples that the tenant does not have yet; return those that were made."""
    made = []
    for document in examples(base_url):
        if Workflow.objects.for_tenant(actor.tenant).filter(slug=document["slug"]).exists():
            continue
        workflow = services.workflow_create(actor=actor, document=document)
        services.publish(actor=actor, workflow=workflow, note="A worked example")
        made.append(workflow.refresh())
    return made


def _health(base_url: str) -> dict[str, Any]:
    return {
        "name": "Check that the product is healthy",
        "slug": "example-health",
        "description": "Calls the product's own health page over HTTP and keeps what matters of the answer.",
        "triggers": [{"key": "manual", "type": "manual", "config": {}}],
        "steps": [
            {
                "key": "ask",
                "name": "Ask the health page",
                "action": "http.request",
                "config": {"inputs": {"method": "GET", "url": f"{base_url.rstrip('/')}/healthz"}},
            },
            {
                "key": "summary",
                "name": "Keep the verdict",
                "action": "data.set",
                "config": {
                    "inputs": {
                        "values": {
                            "healthy": "{{ steps.ask.output.status == 200 }}",
                            "answer": "{{ steps.ask.output.body }}",
                            "checked_at": "{{ now() }}",
                        }
                    }
                },
            },
        ],
        "output": "{{ steps.summary.output }}",
    }


def _greeting() -> dict[str, Any]:
    return {
        "name": "Greet a new signup",
        "slug": "example-signup",
        "description": "Started by a request. Shows defaults, texts made of data, and a step that runs only sometimes.",
        "triggers": [{"key": "signup", "type": "webhook", "config": {"methods": ["POST"], "response": "accepted"}}],
        "steps": [
            {
                "key": "person",
                "name": "Tidy the signup",
                "action": "data.set",
                "config": {
                    "inputs": {
                        "values": {
                            "name": "{{ trim(default(trigger.body.name, 'friend')) }}",
                            "plan": "{{ lower(default(trigger.body.plan, 'trial')) }}",
                        }
                    }
                },
            },
            {
                "key": "greet",
                "name": "Write the greeting",
                "action": "hello.world",
                "config": {"inputs": {"name": "{{ steps.person.output.name }}"}},
            },
            {
                "key": "upgrade",
                "name": "Mention the upgrade",
                "action": "data.set",
                "config": {
                    "inputs": {"values": {"text": "{{ steps.greet.output.message }}! Your trial ends in 14 days."}},
                    "run_if": "{{ steps.person.output.plan == 'trial' }}",
                },
            },
        ],
        "output": "{{ default(steps.upgrade.output.text, steps.greet.output.message) }}",
    }


def _order() -> dict[str, Any]:
    return {
        "name": "Add up an order",
        "slug": "example-order",
        "description": "Runs a few lines of Python in the sandbox and writes a sentence from what they return.",
        "triggers": [{"key": "manual", "type": "manual", "config": {}}],
        "steps": [
            {
                "key": "order",
                "name": "A sample order",
                "action": "data.set",
                "config": {
                    "inputs": {
                        "values": {
                            "customer": "Northwind",
                            "lines": [
                                {"item": "Paper", "quantity": 12, "price": 4.5},
                                {"item": "Ink", "quantity": 2, "price": 31.9},
                            ],
                        }
                    }
                },
            },
            {
                "key": "totals",
                "name": "Add it up in Python",
                "action": "code.python",
                "config": {"inputs": {"code": _TOTALS, "input": {"lines": "{{ steps.order.output.lines }}"}}},
            },
            {
                "key": "sentence",
                "name": "Write it down",
                "action": "data.set",
                "config": {
                    "inputs": {
                        "values": {
                            "text": "{{ steps.order.output.customer }} ordered {{ steps.totals.output.lines }} lines "
                            "for {{ steps.totals.output.total }}."
                        }
                    }
                },
            },
        ],
        "output": "{{ steps.sentence.output.text }}",
    }
