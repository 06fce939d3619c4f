"""The table of operations and the code name the same ones: no operation is unguarded, and none is guarded in vain."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from orchestrator.tenants.models import Role
from orchestrator.tenants.permissions import MINIMUM_ROLE

ROOT = Path(settings.BASE_DIR)


def texts(node: ast.AST) -> Iterator[str]:
    yield from (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def named() -> Iterator[str]:
    """Yield each operation that is asked for: by ``require_operation``, of the table, or by the admin."""
    for package in ("orchestrator", "runs"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name == "permissions.py" or "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Name(id="require_operation") | ast.Attribute(attr="require_operation")):
                        yield from texts(ast.Tuple(elts=node.args[1:]))
                    case ast.Subscript(value=ast.Name(id="MINIMUM_ROLE"), slice=key):
                        yield from texts(key)
                    case ast.Assign(targets=[ast.Name(id="operations")], value=ast.Dict(values=values)):
                        yield from texts(ast.Tuple(elts=values))


def test_every_operation_that_is_asked_for_is_in_the_table() -> None:
    found = set(named())
    assert "workflow.publish" in found
    assert found - MINIMUM_ROLE.keys() == set()


def test_what_concerns_people_asks_for_an_admin_at_least_and_owners_for_an_owner() -> None:
    of_people = {"member.edit", "invitation.read", "invitation.edit", "token.edit", "audit.read", "factor.reset"}
    of_people |= {"sso.read"}
    assert {MINIMUM_ROLE[name] for name in of_people} == {Role.ADMIN}
    assert MINIMUM_ROLE["owner.edit"] == MINIMUM_ROLE["factor.require"] == MINIMUM_ROLE["sso.edit"] == Role.OWNER


def test_no_row_is_there_for_nothing() -> None:
    files = [path for package in ("orchestrator", "runs") for path in (ROOT / package).rglob("*.py")]
    text = "\n".join(path.read_text() for path in files if path.name != "permissions.py")
    assert [operation for operation in MINIMUM_ROLE if f'"{operation}"' not in text] == []
