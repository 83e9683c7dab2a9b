"""The architecture file: what is hostile, damaged or too large."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.examples import around, graph_of, small
from tests.uninas.test_text import _SOURCES, document, stages
from uninas import IDENTITY, Architecture, InputError, cost, load, parse, parse_graph, preset, to_text
from uninas.text import MAX_WRITTEN_NODES

TEXTS = {
    "": "expected",
    "   \n": "expected",
    "[]": "a list",
    "3": "a number",
    '"x"': "a text",
    "null": "nothing",
    "{": "line 1",
    "{'format': 1}": "line 1",
    '{"version": NaN}': "NaN",
    '{"version": -Infinity}': "Infinity",
    '{"version": ' + "9" * 5000 + "}": "digits",
    "[" * 200_000: "nested",
    "[" * 200_000 + "]" * 200_000: "nested",
    '{"a":' * 200_000 + "1" + "}" * 200_000: "nested",
    "\ufeff{}": "expected",
    "\x00": "expected",
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_texts_that_are_no_file(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, "net.json")
    assert TEXTS[text] in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("key", ["format", "version", "stages", "classes", "graphs", "unknown", "a block"])
def test_values_nested_to_any_depth(key: str) -> None:
    """Also where reading still succeeds and printing the value for the message would be too deep."""
    changes = {"stages": stages(32, "HERE")} if key == "a block" else {key: "HERE"}
    text = json.dumps(document(**changes))
    for depth in [*range(1, 700, 50), *range(700, 1010), 3000]:
        with pytest.raises(InputError) as caught:
            parse(text.replace('"HERE"', "[" * depth + "]" * depth), "net.json")
        assert len(str(caught.value)) < 500


def test_limits_of_size() -> None:
    with pytest.raises(InputError, match="20000 nodes"):
        parse_graph("\n".join([*(f"%{i} = gelu %{i - 1}" for i in range(1, 30_000)), "return %1"]))
    wide = "%1 = add" + " %0" * 500_000
    with pytest.raises(InputError, match="inputs"):
        parse_graph(f"{wide}\nreturn %1")


@pytest.mark.parametrize("part", ["sub-blocks", "frame"])
def test_the_nodes_of_all_graphs_together_are_bounded(part: str) -> None:
    """Each time that a graph is named it counts: a small file may otherwise mean a network of billions of nodes."""
    count = 20_000
    lines = [*(f"%{i} = gelu %{i - 1}" for i in range(1, count)), f"return %{count - 1}"]
    most = MAX_WRITTEN_NODES // count
    assert most * count == MAX_WRITTEN_NODES

    def network(times: int) -> str:
        rows = [{"plain": ["g"] * min(16, times - first)} for first in range(0, times, 16)]
        return json.dumps(document(version=2, stem=[16, 32], graphs={"g": lines}, stages=stages(32, rows), **frame))

    frame: dict[str, Any] = {}
    if part == "frame":
        most, frame = most - 1, {"head": "g"}
    fits = parse(network(most))
    assert len(fits.digest) == 64
    with pytest.raises(InputError) as caught:
        parse(network(most + 1), "net.json")
    assert str(caught.value) == (
        f"net.json: expected at most {MAX_WRITTEN_NODES} nodes of all graphs together, each graph counted wherever it is named, "
        f"got {MAX_WRITTEN_NODES + count}"
    )


def test_costs_of_the_largest_numbers_stay_exact_integers() -> None:
    network = parse(
        json.dumps(
            document(
                stages=stages(65536),
                input_size=[65536, 65535],
                classes=1_000_000,
                stem=[65536, 65536],
                in_channels=65536,
            )
        )
    )
    figures = cost(network)
    assert figures.macs > 10**19
    assert json.loads(json.dumps(figures.as_dict()))["macs"] == figures.macs


def test_slices_of_a_long_concatenation_are_sorted_out_at_once() -> None:
    """Each slice finds its part without walking over all the others: 8,000 x 8,000 steps would take minutes."""
    count = 8192
    lines = [f"%{i} = slice(index={i - 1}, count={count}) %0" for i in range(1, count + 1)]
    lines.append(f"%{count + 1} = concat " + " ".join(f"%{i}" for i in range(count, 0, -1)))
    lines += [f"%{count + 1 + i} = slice(index={i - 1}, count={count}) %{count + 1}" for i in range(1, count + 1)]
    lines.append(f"%{2 * count + 2} = concat " + " ".join(f"%{count + 1 + i}" for i in range(count, 0, -1)))
    network = around(graph_of(*lines, f"return %{2 * count + 2}"), width=count)
    assert network.digest == around(IDENTITY, width=count).digest


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
@examples(4000)
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
@examples(500)
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
