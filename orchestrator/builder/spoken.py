"""What integrations declare, as pages show it: in the language of whoever is served. Keys stay as they are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.registry import registry
from integrations.sdk import Action, AuthKind
from integrations.sdk.declaration import Declaration
from integrations.sdk.fields import WORDS
from integrations.words import declared
from orchestrator.builder.add_search import score
from orchestrator.flow.schemas import translated
from orchestrator.words import called, kept_by_language


@dataclass(frozen=True, kw_only=True)
class Words:
    """The texts of an action or trigger; ``find`` is all that a search looks in, ``names`` what it is called, each in
    lower case, as it is shown and as it is declared: people search by what they read, and by what they read elsewhere.
    """

    name: str
    description: str
    provider: str
    find: str
    names: tuple[str, ...]

    @property
    def full(self) -> str:
        """``Slack · Send message``"""
        return f"{self.provider} · {self.name}"


@kept_by_language(maxsize=4_000)
def words_of(what: Declaration) -> Words:
    """Return the texts of an action or trigger."""
    own = (what.name, what.provider.name, what.description, *what.synonyms, what.key, what.category)
    shown = (what.name, what.provider.name, what.description, *what.synonyms, what.category)
    texts = dict.fromkeys((*own, *(declared(text) for text in shown)))
    name = declared(what.name)
    return Words(
        name=name,
        description=declared(what.description),
        provider=declared(what.provider.name),
        find=" ".join(" ".join(texts).lower().split()),
        names=tuple(dict.fromkeys((name.lower(), what.name.lower()))),
    )


def fit(wanted: Sequence[str], words: Words) -> int | None:
    """Return how well an action fits a search, as ``score`` does, by whichever of its names fits best."""
    best, *others = (score(wanted, name, words.find) for name in words.names)
    return best if best is None else min(best, *(other for other in others if other is not None), best)


def action_words(key: str) -> str:
    """Return ``Slack · Send message``, or the key of an action that is not registered."""
    action = registry.get(key)
    return words_of(action).full if action else key


def step_title(name: str, action_key: str, key: str) -> str:
    """Return what a step is called on a page: by its own name, else by what it does, else by its key."""
    action = registry.get(action_key)
    return called(name, action.name) if action else name or key


@kept_by_language(maxsize=4_000)
def input_schema_of(what: Declaration) -> Mapping[str, Any]:
    """Return the JSON schema of what is filled in, its titles, descriptions and examples in words."""
    return _spoken(what.input_json_schema())


@kept_by_language(maxsize=4_000)
def output_schema_of(what: Declaration) -> Mapping[str, Any]:
    """Return the JSON schema of what is given, its titles and descriptions in words; empty where it is not said."""
    return translated(what.output_json_schema() or {})


def _spoken(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = translated(schema)
    fields = {
        name: {**field, "examples": [_example(each) for each in field["examples"]]} if "examples" in field else field
        for name, field in found["properties"].items()
    }
    return {**found, "properties": fields}


def _example(value: Any) -> Any:
    """Return an example that is a sentence in words; any other, like an id, is the same in every language."""
    return declared(value) if isinstance(value, str) and is_sentence(value) else value


def is_sentence(text: str) -> bool:
    """Whether an example is said to a person, and no name, address, expression or code."""
    return " " in text and "\n" not in text and text[:1].isalpha() and not set(text) & set("{}<>[]=@/")


def said_by_all() -> dict[str, str]:
    """Return every text that is declared in this installation and that a page may show, with the key of who says it."""
    found: dict[str, str] = {}
    for provider in registry.providers():
        kinds = [text for kind in provider.auth for text in (kind.title, kind.help, *_of_fields(kind))]
        kinds += [provider.site.label, provider.site.help] if provider.site else []
        found |= dict.fromkeys((provider.name, provider.description, provider.category, *kinds), provider.key)
    for what in (*registry.actions(), *registry.triggers()):
        found |= {text: what.key for text in _said_by(what) if text not in found}
    return {text: key for text, key in found.items() if any(map(str.isalpha, text))}


def _of_fields(kind: AuthKind) -> Iterator[str]:
    for field in kind.fields:
        yield from (field.label, field.help)


def _said_by(what: Declaration) -> Iterator[str]:
    yield from (what.name, what.description, what.category, *what.synonyms)
    for schema in (what.input_json_schema(), what.output_json_schema() or {}):
        for part in (schema, *schema.get("$defs", {}).values()):
            for field in part.get("properties", {}).values():
                yield from (str(field.get(word, "")) for word in ("title", "description", "x-group"))
                yield from field.get(WORDS, {}).values()
                yield from (each for each in field.get("examples", ()) if isinstance(each, str) and is_sentence(each))


def action_category(action: Action) -> str:
    """Return the key of the group that an action stands in: as it is declared."""
    return action.category or action.provider.name
