"""Texts at the edge of what is a file: no JSON, nested to any depth, as large as allowed or larger."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.uninas.examples import around, graph_of
from tests.uninas.test_text import document, stages
from uninas import (
    IDENTITY,
    InputError,
    cost,
    parse,
    parse_graph,
)
from uninas.text import MAX_WRITTEN_NODES


def test_an_empty_list_of_inputs_is_no_sum() -> None:
    with pytest.raises(InputError, match="one or more"):
        parse(json.dumps(document(graphs={"g1": ["%1 = add", "return %1"]})))


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
