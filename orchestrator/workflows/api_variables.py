"""``variables/`` of the API: values that every workflow of the tenant reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.describing import ONCE, PAGED, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.views import TenantAPIView
from orchestrator.flow.definition import Text
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Variable
from orchestrator.workflows.variables import variable_create, variable_delete, variable_update


class VariableCreate(BaseModel):
    """``value`` is any JSON but null, of at most 64 KB, and no secret: those belong in credentials."""

    model_config = ConfigDict(extra="forbid")

    key: Text = Field(min_length=1, max_length=63)
    value: JSONValue


class VariableUpdate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    value: JSONValue


class VariableBody(BaseModel):
    id: str
    key: str
    value: JSONValue
    updated_at: datetime


class VariablePage(BaseModel):
    results: list[VariableBody]
    next: str | None
    previous: str | None


def _document(variable: Variable) -> dict[str, Any]:
    return {
        "id": str(variable.pk),
        "key": variable.key,
        "value": variable.value,
        "updated_at": variable.updated_at,
    }


class VariableList(TenantAPIView):
    @extend_schema(operation_id="variables_list", parameters=[*PAGED], responses=VariablePage)
    def get(self, request: Request) -> Response:
        """The tenant's variables, which expressions read as `vars.<key>`."""
        return self.page(Variable.objects.for_tenant(self.tenant), _document)

    @extend_schema(
        operation_id="variables_create", parameters=[ONCE], request=VariableCreate, responses={201: VariableBody}
    )
    def post(self, request: Request) -> Response:
        """Make a variable; a key that is taken answers 400."""
        body = parse_body(VariableCreate, request.data)

        def make() -> Response:
            made = variable_create(actor=self.actor, key=body.key, value=body.value)
            return Response(_document(made), status=201)

        return self.create(make)


class VariableDetail(TenantAPIView):
    @extend_schema(operation_id="variables_retrieve", responses=VariableBody)
    def get(self, request: Request, pk: str) -> Response:
        return Response(_document(self.find(Variable, pk)))

    @extend_schema(operation_id="variables_update", request=VariableUpdate, responses=VariableBody)
    def patch(self, request: Request, pk: str) -> Response:
        """Give a variable another value; runs read it from their next step on."""
        variable = self.find(Variable, pk)
        body = parse_body(VariableUpdate, request.data)
        return Response(_document(variable_update(actor=self.actor, variable=variable, value=body.value)))

    @extend_schema(operation_id="variables_delete", responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        variable_delete(actor=self.actor, variable=self.find(Variable, pk))
        return Response(status=204)
