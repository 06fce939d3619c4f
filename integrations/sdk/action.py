"""Actions: one decorated function each."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from integrations.sdk.auth import ALSO_TAKES
from integrations.sdk.context import RunContext
from integrations.sdk.errors import AuthError, DeclarationError, InputError
from integrations.sdk.provider import Provider
from integrations.sdk.types import AuthType, Effect, JSONValue

ACTION_NAME: Final = re.compile(r"[a-z][A-Za-z0-9]*")
DECLARED: Final = "__declared_actions__"

ModelT = TypeVar("ModelT", bound=BaseModel)
Summary: TypeAlias = Callable[[Any], str]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Action:
    """A declared action. ``await action.run(ctx)`` runs it; a plain function runs in a thread.

    ``accepted_auth`` are the types of credential it takes; ``pure`` means no effect outside the run, so nothing must be
    durable before it; ``idempotent`` means that sending it again with the same key does no harm;
    ``idempotent_when`` asks that of the inputs; ``http`` says whether it speaks HTTP, which the contract suite then
    checks; ``any_provider`` takes other providers' credentials too; ``per_item`` names inputs that are expressions
    over the items of a list: they arrive as written, and ``ctx.evaluate`` gives their value for one item;
    ``passes_on`` names inputs that it does not look into, so that values of many megabytes stay packed in them;
    ``opens`` is how many bytes of JSON one value of the others may have.
    """

    key: str
    name: str
    description: str
    provider: Provider
    auth_type: AuthType
    accepted_auth: frozenset[str]
    auth_required: bool
    input_schema: type[BaseModel]
    output_schema: type[BaseModel] | None
    sample: JSONValue
    idempotent: bool
    idempotent_when: Callable[[Any], bool] | None
    pure: bool
    effect: Effect
    category: str
    synonyms: tuple[str, ...]
    timeout: float | None
    summary: Summary | None
    lanes: tuple[str, ...] | None
    http: bool
    any_provider: bool
    per_item: tuple[str, ...]
    passes_on: tuple[str, ...]
    opens: int | None
    function: Callable[[RunContext[Any]], Any] = field(repr=False)
    origin: str

    @cached_property
    def _input_json_schema(self) -> dict[str, Any]:
        return self.input_schema.model_json_schema()

    @cached_property
    def _output_json_schema(self) -> dict[str, Any] | None:
        return self.output_schema.model_json_schema(mode="serialization") if self.output_schema else None

    def input_json_schema(self) -> dict[str, Any]:
        """Return the inputs' JSON schema, made once: not to be changed."""
        return self._input_json_schema

    def output_json_schema(self) -> dict[str, Any] | None:
        """Return the output's JSON schema, made once: not to be changed."""
        return self._output_json_schema

    def validate_inputs(self, inputs: Mapping[str, Any]) -> BaseModel:
        """Return the inputs as this action's model. Raises InputError naming the wrong fields, without their values."""
        try:
            # What `model_validate` calls, without its other ways to be called.
            return self.input_schema.__pydantic_validator__.validate_python(dict(inputs))  # type: ignore[no-any-return]
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
        texts = [f"{'.'.join(map(str, problem['loc'])) or 'inputs'}: {problem['msg']}" for problem in problems[:5]]
        field = str(problems[0]["loc"][0]) if problems[0]["loc"] else None
        raise InputError("; ".join(texts), field=field)

    def check_auth(self, auth: Mapping[str, Any]) -> None:
        """Raise AuthError naming what is needed, unless ``auth`` (CONTRACT section 4, or empty) is taken here."""
        kind = auth.get("type", "none")
        if kind == "none" and not self.auth_required:
            return
        own = {self.provider.key, self.provider.oauth_family, None}
        if kind not in self.accepted_auth:
            raise AuthError(self.auth_needed, hint="Choose another credential in the step's form.")
        if not self.any_provider and auth.get("provider") not in own:
            raise AuthError(f"{self.auth_needed} of {self.provider.name}, and this credential is another provider's.")

    @property
    def auth_needed(self) -> str:
        """The sentence that names the credential this action requires."""
        kinds = " or ".join(kind for kind in ALSO_TAKES if kind in self.accepted_auth)
        return f"{self.provider.name} requires {kinds or 'no credential'}"

    def repeatable(self, inputs: BaseModel) -> bool:
        """Whether this very call may be sent again with the same key."""
        if self.idempotent_when is not None:
            return bool(self.idempotent_when(inputs))
        return self.pure or self.idempotent

    @cached_property
    def _is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    async def run(self, ctx: RunContext[Any]) -> Any:
        """Run the action and return its output as JSON data. Raises what the function raises."""
        if self._is_async:
            result = await self.function(ctx)
        else:
            result = await asyncio.to_thread(self.function, ctx)
            if inspect.isawaitable(result):
                result = await result
        return result.model_dump(mode="json", by_alias=True) if isinstance(result, BaseModel) else result

    async def __call__(self, ctx: RunContext[Any]) -> Any:
        """Run the action, as the decorated function would be called."""
        return await self.run(ctx)

    def __repr__(self) -> str:
        return f"<Action {self.key} at {self.origin}>"


def action(
    *,
    provider: Provider,
    key: str,
    name: str,
    auth_type: AuthType,
    input_schema: type[ModelT],
    output_schema: type[BaseModel] | None = None,
    sample: JSONValue = None,
    idempotent: bool | Callable[[ModelT], bool] = False,
    pure: bool = False,
    effect: Effect = "none",
    category: str = "",
    synonyms: Sequence[str] = (),
    timeout: float | None = None,
    summary: Summary | None = None,
    accepted_auth: Sequence[str] | None = None,
    auth_required: bool | None = None,
    lanes: Sequence[str] | None = None,
    http: bool = True,
    any_provider: bool = False,
    per_item: Sequence[str] = (),
    passes_on: Sequence[str] = (),
    opens: int | None = None,
    description: str = "",
) -> Callable[[Callable[[RunContext[ModelT]], Any]], Action]:
    """Declare the decorated function an action; its docstring's first paragraph becomes the description.

    Raises DeclarationError, naming the place, when the declaration cannot be right.
    """

    def decorate(function: Callable[[RunContext[ModelT]], Any]) -> Action:
        origin = f"{function.__module__}:{function.__code__.co_firstlineno}"
        named = {"per_item": per_item, "passes_on": passes_on}
        for problem in _problems(provider, key, name, auth_type, input_schema, output_schema, named):
            raise DeclarationError(f"{origin}: {problem}")
        declared = Action(
            key=key,
            name=name,
            description=description or _first_paragraph(function) or name,
            provider=provider,
            auth_type=auth_type,
            accepted_auth=frozenset(ALSO_TAKES[auth_type] if accepted_auth is None else accepted_auth),
            auth_required=auth_type != "none" if auth_required is None else auth_required,
            input_schema=input_schema,
            output_schema=output_schema,
            sample=sample,
            idempotent=idempotent is True,
            idempotent_when=idempotent if callable(idempotent) else None,
            pure=pure,
            effect=effect,
            category=category or provider.category,
            synonyms=tuple(synonyms),
            timeout=timeout,
            summary=summary,
            lanes=None if lanes is None else tuple(lanes),
            http=http,
            any_provider=any_provider,
            per_item=tuple(per_item),
            passes_on=tuple(passes_on),
            opens=opens,
            function=function,
            origin=origin,
        )
        # On the module, not in a global list: importing a module twice or in a test must not register anything.
        function.__globals__.setdefault(DECLARED, []).append(declared)
        return declared

    return decorate


def _problems(
    provider: object,
    key: str,
    name: str,
    auth_type: str,
    input_schema: object,
    output_schema: object,
    named: Mapping[str, Sequence[str]],
) -> Sequence[str]:
    if not isinstance(provider, Provider):
        return [f"provider of action {key!r} must be a Provider"]
    found = []
    prefix, _, last = key.partition(".")
    if prefix != provider.key or not ACTION_NAME.fullmatch(last):
        found.append(f"the action key {key!r} must be {provider.key!r}, a dot and a camelCase name")
    if not name.strip():
        found.append(f"action {key!r} has no name")
    if auth_type not in ALSO_TAKES:
        found.append(f"auth_type {auth_type!r} of {key!r} must be one of {', '.join(ALSO_TAKES)}")
    elif provider.auth and auth_type not in {"none", *(kind.type for kind in provider.auth)}:
        found.append(f"{key!r} wants {auth_type}, which its provider {provider.key!r} does not list under auth")
    found += [
        f"{label} of {key!r} must be a pydantic model"
        for label, schema in (("input_schema", input_schema), ("output_schema", output_schema))
        if schema is not None and not (isinstance(schema, type) and issubclass(schema, BaseModel))
    ]
    if isinstance(input_schema, type) and issubclass(input_schema, BaseModel):
        known = {field.alias or name for name, field in input_schema.model_fields.items()}
        found += [
            f"{option} of {key!r} names {each!r}, which is no input"
            for option, names in named.items()
            for each in names
            if each not in known
        ]
    return found


def _first_paragraph(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
