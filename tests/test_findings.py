"""What pydantic finds is told in the language of the page; in English it stays pydantic's own words."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from integrations import words
from integrations.findings import TEXTS, findings


class _Colour(Enum):
    RED = "red"
    BLUE = "blue"


class _Inner(BaseModel):
    a: int


def _own(value: Any) -> Any:
    raise PydanticCustomError("list_type", "A list is needed, and this is {what}", {"what": "a text"})


FOUND: list[tuple[str, Any, Any]] = [
    ("string_type", str, 1),
    ("string_too_short", Annotated[str, Field(min_length=2)], "a"),
    ("string_too_short", Annotated[str, Field(min_length=1)], ""),
    ("string_too_long", Annotated[str, Field(max_length=2)], "abc"),
    ("string_pattern_mismatch", Annotated[str, Field(pattern="^a$")], "b"),
    ("int_type", int, None),
    ("int_parsing", int, "a"),
    ("int_from_float", int, 1.5),
    ("float_type", float, None),
    ("float_parsing", float, "a"),
    ("finite_number", Annotated[float, Field(allow_inf_nan=False)], float("inf")),
    ("bool_type", bool, None),
    ("bool_parsing", bool, "a"),
    ("greater_than", Annotated[int, Field(gt=1)], 1),
    ("greater_than_equal", Annotated[int, Field(ge=1)], 0),
    ("less_than", Annotated[int, Field(lt=1)], 1),
    ("less_than_equal", Annotated[float, Field(le=1.5)], 2),
    ("list_type", list[int], "a"),
    ("dict_type", dict[str, int], "a"),
    ("model_type", _Inner, "a"),
    ("literal_error", Literal["a", "b"], "c"),
    ("enum", _Colour, "green"),
    ("too_long", Annotated[list[int], Field(max_length=2)], [1, 2, 3]),
    ("too_short", Annotated[list[int], Field(min_length=2)], [1]),
]


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_translator", words._Translator(one=lambda message: f"⟦{message}⟧"))


def refused(kind: Any, given: dict[str, Any]) -> ValidationError:
    model = create_model("Some", __config__=ConfigDict(extra="forbid"), a=(kind, ...))
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    return caught.value


@pytest.mark.parametrize(("kind", "declared", "value"), FOUND)
def test_in_english_it_is_what_pydantic_says(kind: str, declared: Any, value: Any) -> None:
    error = refused(declared, {"a": value})
    assert [(found["type"], found["msg"]) for found in findings(error)] == [(kind, error.errors()[0]["msg"])]


@pytest.mark.parametrize(("kind", "declared", "value"), FOUND)
def test_in_another_language_it_is_translated(kind: str, declared: Any, value: Any, foreign: None) -> None:
    error = refused(declared, {"a": value})
    (found,) = findings(error)
    assert (found["loc"], found["type"]) == (("a",), kind)
    counted = error.errors()[0]["msg"].replace("1 character", "1 characters")
    assert found["msg"] == f"⟦{counted}⟧"


def test_what_is_missing_and_what_is_too_much(foreign: None) -> None:
    assert {found["type"]: found["msg"] for found in findings(refused(str, {"b": 1}))} == {
        "missing": "⟦Field required⟧",
        "extra_forbidden": "⟦Extra inputs are not permitted⟧",
    }
    tried = {"missing", "extra_forbidden", *(kind for kind, _declared, _value in FOUND)}
    assert tried == set(TEXTS)


def test_the_words_of_our_own_checks_stay(foreign: None) -> None:
    error = refused(Annotated[list[int], BeforeValidator(_own)], {"a": 1})
    assert [found["msg"] for found in findings(error)] == ["A list is needed, and this is a text"]


def test_what_a_check_of_our_own_says_is_told_in_its_words_alone() -> None:
    def refuse(value: str) -> str:
        raise ValueError("give the endpoint")

    model = create_model("Model", field=(Annotated[str, BeforeValidator(refuse)], ...))
    with pytest.raises(ValidationError) as caught:
        model(field="a")
    assert [each["msg"] for each in findings(caught.value)] == ["give the endpoint"]
