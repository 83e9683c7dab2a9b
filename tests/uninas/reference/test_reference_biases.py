"""The reference's RelPosBias on feature maps: which it takes, and what cannot be written (logits: test_reference_files.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.uninas.examples import around, graph_of
from tests.uninas.reference.reference_files import node
from uninas import Architecture, InputError, cost
from uninas.reference import from_reference, reference_layers, to_reference


def document(size: int) -> dict[str, Any]:
    """A file with a RelPosBias on both feature maps of its one block."""
    block = {key: node("SequentialModule", modules=[node("Conv1"), node("RelPosBias")]) for key in ("subblock1", "subblock2")}
    return {
        "img_size": size,
        "num_classes": 2,
        "drop_rate": 0.0,
        "embed_dim": [8],
        "depths": [1],
        "stem_width": [4, 8],
        "model_str": json.dumps([[block]]),
    }


@pytest.mark.parametrize(("size", "side"), [(32, 8), (62, 15), (43, 11)])
def test_a_map_of_another_size_than_the_reference_takes_is_refused_by_name(size: int, side: int) -> None:
    with pytest.raises(InputError) as caught:
        from_reference(document(size), "net.json")
    where = "net.json: model_str, stage 1, block 1, subblock1, SequentialModule, 2"
    assert str(caught.value) == f"{where}: expected a feature map of a^2 x a^2 pixels for RelPosBias, got '{side}x{side}'"


@pytest.mark.parametrize(("size", "side"), [(64, 4), (37, 3), (18, 2)])
def test_the_table_is_of_the_grid_on_which_rows_and_columns_lie(size: int, side: int) -> None:
    network = from_reference(document(size), "net.json")
    plain = json.loads(json.dumps(document(size)).replace("RelPosBias", "Identity"))
    assert cost(network).params - cost(from_reference(plain, "net.json")).params == 2 * (2 * side - 1) ** 2
    assert cost(network).macs == cost(from_reference(plain, "net.json")).macs
    assert from_reference(to_reference(network), "net.json") == network


PIECES = graph_of(
    "%1 = conv(kernel=1, ratio=3) %0",
    "%2 = slice(index=0, count=3) %1",
    "%3 = slice(index=1, count=3) %1",
    "%4 = slice(index=2, count=3) %1",
    "%5 = row_column_bias %2",
    "%6 = matmul_qk(head_dim=32) %5 %3",
    "%7 = matmul_av %6 %4",
    "return %7",
)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            around(graph_of("%1 = gelu %0", "%2 = row_column_bias %1", "return %2"), size=(32, 32)),
            "stage 1, block 1, sub-block 1, %2 row_column_bias: the reference implementation has no such graph: "
            "its map has a^2 x a^2 pixels, here 8x8",
        ),
        (around(PIECES, width=96, size=(64, 64)), "%5 row_column_bias: the reference implementation has no such graph"),
    ],
    ids=["no square", "of all heads at once"],
)
def test_what_the_reference_cannot_say_is_refused_where_it_is(network: Architecture, said: str) -> None:
    for written in (to_reference, reference_layers):
        with pytest.raises(InputError) as caught:
            written(network)
        assert said in str(caught.value)
