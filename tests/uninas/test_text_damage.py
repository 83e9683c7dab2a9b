"""Damaged architecture files: each is rejected in one line, or is a network."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.uninas.examples import small, walked
from tests.uninas.test_text import document
from uninas import (
    PRESETS,
    Architecture,
    InputError,
    cost,
    load,
    parse,
    preset,
    to_text,
)

# --- random damage ------------------------------------------------------------------------------------------------------------

_SOURCES = [to_text(small(name)) for name in sorted(PRESETS)] + [
    to_text(walked(small(), random.Random(seed), 10), {"note": "x"}) for seed in range(4)
]
_SNIPPETS = [
    "%0",
    "%1",
    "%999999",
    "conv(kernel=3)",
    "return %0",
    "absent",
    "g1",
    "1",
    "-1",
    "1e999",
    "NaN",
    "null",
    "[]",
    "{}",
    '"',
    "\\u0000",
    "\\ud800",
    ",",
    ":",
    "}",
    "]",
    "ratio=99999/7",
    "groups=depthwise",
    "é",
    "0",
]


def damaged(text: str, rng: random.Random) -> str:
    """A text with a few random cuts, copies, swaps and foreign pieces."""
    for _ in range(rng.randrange(1, 4)):
        a, b = sorted(rng.choices(range(len(text) + 1), k=2))
        b = min(b, a + rng.choice([1, 2, 8, 200]))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:a] + text[b:]
        elif kind == 1:
            text = text[:a] + rng.choice(_SNIPPETS) + text[b:]
        elif kind == 2:
            text = text[:b] + text[a:]
        elif kind == 3:
            text = text[:a] + chr(rng.randrange(32, 127)) + text[a + 1 :]
        elif kind == 4:
            lines = text.split("\n")
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        else:
            digits = [i for i, c in enumerate(text) if c.isdigit()]
            if digits:
                i = rng.choice(digits)
                text = text[:i] + str(rng.randrange(100)) + text[i + 1 :]
    return text


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=4000)
def test_a_damaged_text_is_refused_or_is_a_network(seed: int) -> None:
    rng = random.Random(seed)
    text = damaged(rng.choice(_SOURCES), rng)
    network = parsed(text)
    if isinstance(network, Architecture):
        assert parse(to_text(network)) == network
        assert cost(network).params > 0
        assert len(network.digest) == 64


def parsed(text: str) -> Architecture | InputError:
    """The network, or the refusal, which is one line; anything else is an error of ours and fails the test."""
    try:
        return parse(text, "net.json")
    except InputError as caught:
        refusal = caught
    assert "\n" not in str(refusal)
    assert 0 < len(str(refusal)) < 500
    return refusal


def _anything() -> st.SearchStrategy[Any]:
    scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
        max_leaves=6,
    )


@given(key=st.sampled_from(sorted(document())), value=_anything())
@settings(max_examples=500)
def test_any_value_under_any_key(key: str, value: Any) -> None:
    found = parsed(json.dumps(document() | {key: value}))
    if isinstance(found, Architecture):
        assert parse(to_text(found)) == found, "what was taken is a network in full"
    else:
        assert str(found).startswith("net.json")


def test_load_takes_names_files_and_run_folders(tmp_path: Any) -> None:
    network = small()
    (tmp_path / "best.json").write_text(to_text(network), encoding="utf-8")
    assert load(tmp_path / "best.json") == load(str(tmp_path)) == network
    assert load("coatnet") == preset("coatnet")
