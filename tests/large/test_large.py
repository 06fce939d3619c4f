"""Large values: what is packed comes out the same, whole and field by field, and nothing wrong gets in."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator import jsongate
from orchestrator.flow.compiler import compile_expression
from orchestrator.flow.expressions import ExpressionError, render
from orchestrator.flow.values import Context
from orchestrator.large import (
    MISSING,
    Large,
    RawJSON,
    Stored,
    TooManyValues,
    Unready,
    arriving,
    opened,
    pack,
    packing,
    ready,
)
from orchestrator.large import value as values
from orchestrator.vault.redaction import MASK, Redactor

MOST = 10**9


def same(value: Any) -> Any:
    return value


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut values so finely that small ones are cut in every way."""
    monkeypatch.setattr(arriving, "WINDOW", 300)
    monkeypatch.setattr(packing, "RUN_BYTES", 250)
    monkeypatch.setattr(packing, "_MOST_OF_A_RUN", 600)


class Kept:
    """Bytes that are read from elsewhere; ``asked`` is how many were."""

    def __init__(self, large: Large) -> None:
        assert large.stored.data is not None
        self.data, self.size, self.asked = large.stored.data, large.stored.size, 0

    def read(self, start: int, length: int) -> bytes:
        found = self.data[start:] if start < 0 else self.data[start : start + length]
        self.asked += len(found)
        return found

    def whole(self) -> tuple[bytes, int]:
        self.asked += len(self.data)
        return self.data, self.size


def looked(evaluate: Callable[[], Any]) -> Any:
    """Return what is evaluated, with what it misses brought."""

    async def bring(missing: Unready) -> Any:
        return missing.bring()

    return asyncio.run(ready(evaluate, bring))


def made(random_: random.Random, depth: int = 0) -> Any:
    kind = random_.random()
    if depth > 4 or kind < 0.4:
        texts = ["x" * random_.randint(0, 30), 'é😀\n"\\', "\ud800", '},{"id":1', "a,b", "\x01"]
        return random_.choice([1, 2.5, None, True, -7, 10**25, *texts])
    count = random_.choice([0, 1, 2, 5, 12 if depth < 2 else 3])
    if kind < 0.7:
        return [made(random_, depth + 1) for _ in range(count)]
    return {f"k{random_.randint(0, 60)}": made(random_, depth + 1) for _ in range(count)}


def check_every_part(large: Large, value: Any) -> None:
    assert looked(large.whole) == value
    shape = looked(large.shape)
    if isinstance(shape, tuple):
        assert shape[0] == value
        return
    assert shape.count == len(value)
    for key in value if isinstance(value, dict) else range(len(value)):
        found = looked(lambda key=key: large.part(key))  # type: ignore[misc]
        if isinstance(found, Large):
            check_every_part(found, value[key])
        else:
            assert found == value[key]
    assert looked(lambda: large.part("no" if isinstance(value, dict) else len(value))) is MISSING


@pytest.mark.parametrize("seed", range(12))
def test_what_is_packed_comes_out_the_same_however_it_is_cut_and_written(narrow: None, seed: int) -> None:
    random_ = random.Random(seed)
    value = [made(random_) for _ in range(40)] if seed % 2 else {f"m{n}": made(random_) for n in range(30)}
    from_objects = pack(value, same, most=MOST)
    for text in (json.dumps(value), json.dumps(value, indent=2), json.dumps(value, separators=(",", ":"))):
        arrived = pack(RawJSON(text.encode()), same, most=MOST)
        assert json.loads(b"".join(arrived.stored.pieces())) == value
        assert json.loads(zlib.decompressobj().decompress(arrived.stored.data or b"")) == value
    check_every_part(arrived, value)
    check_every_part(from_objects, value)
    check_every_part(Large.at(Kept(arrived)), value)
    both = pack({"a": [1, Large.at(Kept(arrived))], "b": RawJSON(text.encode())}, same, most=MOST)
    check_every_part(both, {"a": [1, value], "b": value})


@pytest.mark.parametrize("seed", range(6))
def test_a_text_is_taken_exactly_when_it_is_json(narrow: None, seed: int) -> None:
    random_ = random.Random(seed)
    text = json.dumps([made(random_) for _ in range(12)], indent=seed % 2 or None).encode()
    for _ in range(60):
        place = random_.randrange(len(text))
        wrong = text[:place] + random_.choice([b"", b"{", b"]", b",", b'"', b"\xff", b"x"]) + text[place + 1 :]
        try:
            wanted = json.loads(wrong.decode())
        except ValueError:
            with pytest.raises(jsongate.BadJSON):
                pack(RawJSON(wrong), same, most=MOST)
        else:
            assert looked(pack(RawJSON(wrong), same, most=MOST).whole) == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[" * 70 + b"]" * 70, "nested deeper than 64"), (b'{"a":[NaN]}', "NaN is not JSON"),
        (b'{"a":[1e400]}', "cannot express"), (b"[1" + b"0" * 400 + b"]", "300 digits"), (b"", "not valid JSON"),
        (b"[1,]", "not valid JSON"), (b'{"a":1}x', "after its end"), (b"[1}", "closes nothing"),
    ],
)  # fmt: skip
def test_what_a_run_cannot_keep_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(jsongate.BadJSON, match=says):
        pack(RawJSON(text), same, most=MOST)


def test_who_hands_over_a_text_says_what_its_error_is() -> None:
    with pytest.raises(LookupError, match=r"a\.example: not valid JSON"):
        pack({"body": RawJSON(b"[1,", lambda error: LookupError(f"a.example: {error}"))}, same, most=MOST)


def test_what_is_wrong_in_an_object_is_named_with_its_place() -> None:
    for value, place in (
        ({"a": [0, {"b": object()}]}, r"\$\.a\[1\]\.b is a object"),
        ([1] * 100 + [float("nan")], r"\$\[100\] is nan"),
        ({"a": {1: 2}}, r"\$\.a has the key 1, which is not a text"),
    ):
        with pytest.raises(jsongate.BadJSON, match=place):
            pack(value, same, most=MOST)


def test_over_the_limit_the_error_says_the_size_and_the_limit() -> None:
    value = ["x" * 1_000] * 100
    size = len(json.dumps(value, separators=(",", ":")))
    for form in (value, RawJSON(json.dumps(value).encode())):
        with pytest.raises(jsongate.BadJSON, match=f"it has {size:,} bytes as JSON, at most 50,000 are kept"):
            pack(form, same, most=50_000)


def test_secrets_are_taken_out_of_texts_keys_and_what_was_packed_before(narrow: None) -> None:
    secret = "s3cr3t/é"
    clean = Redactor([secret]).clean
    value = {"a": [{"n": n, "text": f"before {secret} after", secret: 1} for n in range(50)]}
    raw = RawJSON(json.dumps(value).encode())
    for form in (value, raw, pack(value, same, most=MOST), Large.at(Kept(pack(value, same, most=MOST)))):
        packed = pack({"body": form}, clean, most=MOST)
        text = b"".join(packed.stored.pieces()).decode()
        assert secret not in text
        assert text.count(MASK) == 100
        assert packed.stored.root is not None
        assert secret not in str(packed.stored.root.document())


def test_of_a_large_value_only_what_is_asked_for_is_read() -> None:
    items = [{"id": n, "name": f"customer {n}", "noise": random.Random(n).randbytes(20).hex()} for n in range(60_000)]
    kept = Kept(pack({"status": 200, "items": items}, same, most=MOST))
    assert len(kept.data) > 1_000_000

    scope = {"body": Large.at(kept)}
    assert looked(lambda: render("{{ body['items'][41000].name }}", scope)) == "customer 41000"
    assert looked(lambda: render("{{ last(body['items']).id + count(body['items']) }}", scope)) == 119_999

    assert kept.asked < 500_000


def test_expressions_see_a_large_value_as_they_see_any_other(narrow: None) -> None:
    value = {"items": [{"id": n, "tags": ["a", "b"]} for n in range(100)], "text": "x" * 2_000, "n": 3}
    plain, large = {"v": value}, {"v": Large.at(Kept(pack(value, same, most=MOST)))}
    for text in (
        "{{ v['items'][3].tags[-1] }}", "{{ count(v) }}", "{{ count(v['items']) }}", "{{ first(v['items']).id }}",
        "{{ last(v['items']) }}", "{{ v.n in [1, 3] }}", "{{ v == v }}", "{{ v['items'] + [1] }}", "{{ json(v) }}",
        "all: {{ v['items'] }}", "{{ default(v.none, v.n) }}", "{{ v.text }}", "{{ upper(v.text) }}", "{{ [v.n, v] }}",
        "{{ v['items'][v.n].id }}", "{{ v }}",
    ):  # fmt: skip
        assert looked(lambda text=text: opened(render(text, large))) == render(text, plain), text  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", ["{{ v.itms }}", "{{ v['items'][100] }}", "{{ v['items'].x }}", "{{ v[3] }}", "{{ v.n.x }}"]
)
def test_what_is_not_there_is_told_as_of_any_other_value(narrow: None, text: str) -> None:
    value = {"items": [{"id": n} for n in range(100)], "n": 3}
    with pytest.raises(ExpressionError) as wanted:
        render(text, {"v": value})
    scope = {"v": pack(value, same, most=MOST)}
    with pytest.raises(ExpressionError) as found:
        looked(lambda: render(text, scope))
    assert found.value.message == wanted.value.message


def test_a_value_of_too_many_parts_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    large = pack([{}] * 1_000, same, most=MOST)
    monkeypatch.setattr(values, "MOST_VALUES", 900)
    with pytest.raises(TooManyValues, match=r"1,0\d\d values, and at most 900"):
        looked(large.whole)
    assert looked(lambda: large.part(7)) == {}


def test_a_damaged_value_is_told_as_such() -> None:
    large = pack(["x" * 1_000] * 1_000, same, most=MOST)
    data = large.stored.data
    assert data is not None
    cut = Stored(data=data[: len(data) // 2], size=large.stored.size)
    with pytest.raises(jsongate.BadJSON, match="damaged"):
        list(cut.pieces())
    with pytest.raises(jsongate.BadJSON, match="damaged"):
        cut.text(None)


def test_looking_does_not_read_by_itself() -> None:
    large = Large.at(Kept(pack({"a": 1, "b": ["x"] * 1_000}, same, most=MOST)))
    evaluate = compile_expression("v.a").evaluate
    with pytest.raises(Unready):
        evaluate(Context(scope={"v": large}))


def test_it_is_said_how_much_is_opened_before_it_is_so_that_it_waits_for_room() -> None:
    text = "x" * 300_000
    source = Kept(pack({"text": text, "list": [text]}, same, most=MOST))

    def sizes(evaluate: Callable[[], Any]) -> list[int]:
        asked: list[int] = []

        async def bring(missing: Unready) -> Any:
            asked.append(missing.size)
            return missing.bring()

        asyncio.run(ready(evaluate, bring))
        return asked

    whole = Large.at(source)
    assert max(sizes(whole.whole)) == whole.size > 600_000
    part = Large.at(source)
    assert max(sizes(lambda: part.part("text"))) >= len(text)
