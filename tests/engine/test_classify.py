"""What an error says of the input that is wrong is kept with the failure, and nothing that is no name."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.sdk import InputError
from integrations.sdk.errors import Permanent
from orchestrator.flow.expressions import ExpressionError
from runs.engine.classify import failure_of
from runs.engine.ports import NoCredential
from runs.engine.records import Failure


class Clear:
    """A redactor with nothing to hide."""

    def text(self, text: str) -> str:
        return text


def _at(where: str) -> ExpressionError:
    error = ExpressionError("There is no such value.")
    error.where = where
    return error


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (InputError("Too long.", field="channel"), "channel"),
        (InputError("Too long."), ""),
        (InputError("Too long.", field="to[0].x"), "to"),
        (InputError("Too long.", field='"><b>'), ""),
        (_at("values.name"), "values"),
        (_at(""), ""),
        (NoCredential("There is no such credential."), "credential"),
        (Permanent("No."), ""),
        (ValueError("No."), ""),
    ],
)
def test_the_field_that_is_wrong_is_kept(error: Exception, field: str) -> None:
    redactor: Any = Clear()
    failure = failure_of(error, redactor)
    assert failure.field == field
    assert failure.as_document().get("field", "") == field
    assert Failure.from_document(failure.as_document()).field == field
