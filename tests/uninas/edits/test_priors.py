"""Which edits are sampled: priors, vocabularies, and regions of equal types."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.uninas.examples import around, graphs_of, headed, small
from uninas import (
    Edit,
    InputError,
    canonicalise,
    op,
    propose,
)
from uninas.edits import (
    FRAGMENTS,
    PRIOR,
    VOCABULARIES,
    prior_of,
    vocabulary,
)

# --- prior and vocabulary -----------------------------------------------------------------------------------------------------


def test_a_prior_and_a_vocabulary_do_not_depend_on_the_order_of_their_names() -> None:
    one, other = prior_of({"insert": 9, "fork": 0}), prior_of({"fork": 0, "insert": 9})
    assert list(one.items()) == list(other.items())
    words = [vocabulary(names) for names in (["gelu", "conv3x3", "mask"], ["mask", "gelu", "conv3x3", "gelu"])]
    assert words[0] == words[1]
    assert list(one) == list(PRIOR)
    edits = [propose(small(), random.Random(3), prior, word) for prior, word in zip((one, other), words, strict=True)]
    assert edits[0] == edits[1]


def test_a_weight_of_zero_and_a_word_left_out_are_never_drawn() -> None:
    prior, words = prior_of({"insert": 50, "remove": 0}), vocabulary(["uninas"])
    drawn = [propose(small(), random.Random(i), prior, words) for i in range(400)]
    kinds = Counter(edit.kind for edit in drawn if isinstance(edit, Edit))
    assert "remove" not in kinds
    assert kinds["insert"] > kinds.total() / 2
    inserted = {edit.arguments["fragment"] for edit in drawn if isinstance(edit, Edit) and edit.kind == "insert"}
    assert inserted <= set(VOCABULARIES["uninas"])
    narrow = vocabulary(["gelu", "sigmoid"])
    for seed in range(100):
        edit = propose(small(), random.Random(seed), {"insert": 1, "fork": 1, "replace": 1}, narrow)
        if isinstance(edit, Edit):
            new = str(edit.arguments.get("fragment", edit.arguments.get("op")))
            assert new in ("gelu", "sigmoid", "add", "multiply")


def test_the_vocabulary_of_the_paper_is_what_it_was() -> None:
    assert len(VOCABULARIES["uninas"]) == 23
    assert set(VOCABULARIES["uninas"]) <= set(FRAGMENTS) == set(VOCABULARIES["universal"])


@pytest.mark.parametrize(
    ("read", "value", "words"),
    [
        (prior_of, {"insrt": 1}, "nearest is 'insert'"),
        (prior_of, {"insert": -1}, "at least 0 for insert"),
        (prior_of, dict.fromkeys(PRIOR, 0), "weight above 0"),
        (prior_of, {"insert": 1e308, "fork": 1e308}, "finite sum"),
        (vocabulary, ["universl"], "nearest is 'universal'"),
        (vocabulary, ["conv3x4"], "nearest is 'conv3x3'"),
        (vocabulary, [], "got none"),
    ],
)
def test_priors_and_vocabularies_that_cannot_be(read: object, value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(value)  # type: ignore[operator]


# --- regions ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["insert", "fork", "connect", "remove", "replace"])
def test_24_heads_do_not_draw_24_times_the_edits(kind: str) -> None:
    """Of about 200 nodes all but a dozen lie inside the heads; drawn node by node, over nine tenths of edits would, too."""
    chain = (op("conv", kernel=1), op("gelu"), op("layer_norm"))
    graph = headed(24, width=96, piece=(op("gelu"),), on_map=(op("relative_position_bias"),), before=chain, after=chain)
    network = around(graph, width=96)
    ((_, _, _, graph),) = graphs_of(canonicalise(network))
    types = graph.types(96)
    inside = {i for i, made in enumerate(types) if type(made).__name__ == "AttentionMap" or made[0] == 4}
    assert len(inside) / len(graph.nodes) > 0.9
    rng = random.Random(kind)
    drawn: list[bool] = []
    while len(drawn) < 400:
        edit = propose(network, rng, {kind: 1.0})
        if isinstance(edit, Edit) and edit.sub == 0:
            place = edit.arguments
            if "consumer" in place:
                consumer = int(place["consumer"])
                source = graph.nodes[consumer].inputs[int(place["slot"])] if consumer else graph.output
                drawn.append(source in inside)
            else:
                drawn.append(place["node"] in inside)
    assert 0.05 < sum(drawn) / len(drawn) < 0.8
