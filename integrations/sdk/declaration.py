"""What actions and triggers have in common: who is called, with what credential, with which inputs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypedDict

from pydantic import BaseModel, ValidationError

from integrations.findings import findings
from integrations.sdk.auth import ALSO_TAKES, OAuth2
from integrations.sdk.errors import AuthError, DeclarationError, InputError
from integrations.sdk.fields import is_secret, secret_inputs
from integrations.sdk.limits import LimitKey, RateLimit
from integrations.sdk.provider import Provider
from integrations.sdk.types import AuthType, JSONValue
from integrations.words import credential_words
from integrations.words import gettext as _

NAME: Final = re.compile(r"[a-z][A-Za-z0-9]*")
# On the module that declares them, in their order.
DECLARED: Final = "__declared_actions__"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Declaration:
    """``accepted_auth`` are the types of credential it takes; ``origin`` is where it is declared, ``module:line``.

    ``scopes`` are what its credential has to be granted, each with its alternatives behind a ``|``. ``rate_limit`` is
    what its requests are bound to, and ``rate_limit_key`` gives of the inputs what they are counted for.
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
    category: str
    synonyms: tuple[str, ...]
    timeout: float | None
    http: bool
    any_provider: bool
    scopes: tuple[str, ...]
    rate_limit: RateLimit | None
    rate_limit_key: LimitKey | None
    function: Callable[..., Any] = field(repr=False)
    origin: str

    @cached_property
    def _input_json_schema(self) -> dict[str, Any]:
        return self.input_schema.model_json_schema()

    @cached_property
    def _output_json_schema(self) -> dict[str, Any] | None:
        return self.output_schema.model_json_schema(mode="serialization") if self.output_schema else None

    @cached_property
    def secret_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that are secrets: a step holds a credential's name in their place."""
        return secret_inputs(self.input_schema, self._input_json_schema)

    def input_json_schema(self) -> dict[str, Any]:
        """Return the inputs' JSON schema, made once: not to be changed."""
        return self._input_json_schema

    def output_json_schema(self) -> dict[str, Any] | None:
        """Return the output's JSON schema, made once: not to be changed."""
        return self._output_json_schema

    def validate_inputs(self, inputs: Mapping[str, Any]) -> BaseModel:
        """Return the inputs as its own model. Raises InputError naming the wrong fields, without their values."""
        try:
            # What `model_validate` calls, without its other ways to be called.
            return self.input_schema.__pydantic_validator__.validate_python(dict(inputs))  # type: ignore[no-any-return]
        except ValidationError as error:
            problems = findings(error)
        texts = [f"{'.'.join(map(str, problem['loc'])) or 'inputs'}: {problem['msg']}" for problem in problems[:5]]
        field = str(problems[0]["loc"][0]) if problems[0]["loc"] else None
        raise InputError("; ".join(texts), field=field)

    def check_auth(self, auth: Mapping[str, Any]) -> None:
        """Raise AuthError naming what is needed, unless ``auth``, as ``ctx.auth`` has it or empty, is taken here."""
        kind = auth.get("type", "none")
        if kind == "none" and not self.auth_required:
            return
        own = {self.provider.key, self.provider.oauth_family, None}
        if kind not in self.accepted_auth:
            raise AuthError(self.auth_needed, hint=_("Choose another credential in the step's form."))
        if not self.any_provider and auth.get("provider") not in own:
            raise AuthError(
                _("%(needed)s of %(name)s, and this credential is another provider's.")
                % {"needed": self.auth_needed, "name": self.provider.name}
            )

    @property
    def auth_needed(self) -> str:
        """The sentence that names the credential this requires."""
        kinds = credential_words(self.accepted_auth)
        return _("%(name)s requires %(needed)s") % {"name": self.provider.name, "needed": kinds or _("no credential")}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} at {self.origin}>"


class About(TypedDict, total=False):
    """What every declaration may say beside what it must: the same for actions and for triggers of both kinds.

    ``output_schema`` and ``sample`` are of an action's output, or of what one run of a trigger gets; ``timeout`` is in
    seconds; ``accepted_auth`` and ``auth_required`` change what ``auth_type`` stands for; ``http`` says whether it
    speaks HTTP; ``any_provider`` takes other providers' credentials too; ``description`` stands in for the docstring;
    ``scopes`` are what its credential has to be granted: of ``read|write`` either is enough; ``rate_limit`` is what its
    requests are bound to, the provider's where it has none, and ``rate_limit_key`` gives of the inputs what they are
    counted for.
    """

    output_schema: type[BaseModel] | None
    sample: JSONValue
    category: str
    synonyms: Sequence[str]
    timeout: float | None
    accepted_auth: Sequence[str] | None
    auth_required: bool | None
    http: bool
    any_provider: bool
    description: str
    scopes: Sequence[str]
    rate_limit: RateLimit | None
    rate_limit_key: LimitKey | None


class Parts(TypedDict):
    """The fields of a Declaration."""

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
    category: str
    synonyms: tuple[str, ...]
    timeout: float | None
    http: bool
    any_provider: bool
    scopes: tuple[str, ...]
    rate_limit: RateLimit | None
    rate_limit_key: LimitKey | None
    function: Callable[..., Any]
    origin: str


def parts_of(
    what: str,
    function: Callable[..., Any],
    about: About,
    *,
    provider: Provider,
    key: str,
    name: str,
    auth_type: AuthType,
    input_schema: type[BaseModel],
    problems: Callable[[], Iterable[str]] = tuple,
) -> Parts:
    """Return a declaration's fields; ``problems`` are those of its kind.

    Raises DeclarationError, naming the place, for the first thing that cannot be right.
    """
    origin, output_schema = origin_of(function), about.get("output_schema")
    found = declaration_problems(
        what,
        provider=provider,
        key=key,
        name=name,
        auth_type=auth_type,
        input_schema=input_schema,
        output_schema=output_schema,
    )
    for problem in found or (*scope_problems(provider, key, about.get("scopes", ())), *problems()):
        raise DeclarationError(f"{origin}: {problem}")
    required = about.get("auth_required")
    return Parts(
        key=key,
        name=name,
        description=about.get("description") or first_paragraph(function) or name,
        provider=provider,
        auth_type=auth_type,
        accepted_auth=accepted(auth_type, about.get("accepted_auth")),
        auth_required=auth_type != "none" if required is None else required,
        input_schema=input_schema,
        output_schema=output_schema,
        sample=about.get("sample"),
        category=about.get("category") or provider.category,
        synonyms=tuple(about.get("synonyms", ())),
        timeout=about.get("timeout"),
        http=about.get("http", True),
        any_provider=about.get("any_provider", False),
        scopes=tuple(about.get("scopes", ())),
        rate_limit=about.get("rate_limit") or provider.rate_limit,
        rate_limit_key=about.get("rate_limit_key"),
        function=function,
        origin=origin,
    )


def declaration_problems(
    what: str,
    *,
    provider: object,
    key: str,
    name: str,
    auth_type: str,
    input_schema: object,
    output_schema: object,
) -> list[str]:
    """Return what cannot be right in the declaration of an action or a trigger, as ``what`` calls it."""
    if not isinstance(provider, Provider):
        return [f"provider of {what} {key!r} must be a Provider"]
    found = []
    prefix, _, last = key.partition(".")
    if prefix != provider.key or not NAME.fullmatch(last):
        found.append(f"the {what} key {key!r} must be {provider.key!r}, a dot and a camelCase name")
    if not name.strip():
        found.append(f"{what} {key!r} has no name")
    if auth_type not in ALSO_TAKES:
        found.append(f"auth_type {auth_type!r} of {key!r} must be one of {', '.join(ALSO_TAKES)}")
    elif provider.auth and auth_type not in {"none", *(kind.type for kind in provider.auth)}:
        found.append(f"{key!r} wants {auth_type}, which its provider {provider.key!r} does not list under auth")
    found += [
        f"{label} of {key!r} must be a pydantic model"
        for label, schema in (("input_schema", input_schema), ("output_schema", output_schema))
        if schema is not None and not is_model(schema)
    ]
    return found


def scope_problems(provider: Provider, key: str, scopes: Sequence[str]) -> Iterator[str]:
    """Yield what a sign-in would not ask for: without it, no account that is connected could do this."""
    asked = {scope for kind in provider.auth if isinstance(kind, OAuth2) for scope in kind.scopes}
    for scope in scopes:
        if asked and not asked & set(scope.split("|")):
            yield f"{key!r} needs the scope {scope!r}, which a sign-in at {provider.key!r} does not ask for"


def secret_problem(key: str, input_schema: type[BaseModel]) -> Iterator[str]:
    """Yield what is wrong with a trigger's inputs: they stand in the open, so none may be a secret."""
    if any(map(is_secret, input_schema.model_fields.values())):
        yield f"the trigger {key!r} has a secret input: let its credential hold the secret"


def argument_problem(what: str, function: Callable[..., Any], names: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a function that is to be called with these arguments, by their place."""
    try:
        inspect.signature(function).bind(*names)
    except TypeError:
        *first, last = names
        told = f"{', '.join(first)} and {last}, in this order" if first else f"{last} alone"
        yield f"{what} must take {told}"


def is_model(schema: object) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def accepted(auth_type: AuthType, given: Sequence[str] | None = None) -> frozenset[str]:
    """Return the types of credential that are taken: those given, else what the type stands for."""
    return frozenset(ALSO_TAKES[auth_type] if given is None else given)


def first_paragraph(function: Callable[..., Any]) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def origin_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__code__.co_firstlineno}"


def declare(function: Callable[..., Any], declared: Declaration) -> None:
    """Note a declaration on its module, and not in a global list: importing must not register anything."""
    function.__globals__.setdefault(DECLARED, []).append(declared)
