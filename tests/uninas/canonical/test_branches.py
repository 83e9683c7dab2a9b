"""Equal branches: symmetries without a search, beside the search for them; and what is too symmetric, however it is written."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.canonical.test_labelling import (
    ALIKE,
    branches,
    circulant,
    cycle,
    drawing,
    drawing_from_its_points,
    relabelled,
    relabelled_quickly,
)
from tests.uninas.examples import around
from tests.uninas.test_fuzz import document, tied
from uninas import Graph, GraphBuilder, InputError, cli, labelling, op
from uninas.branches import branches_of
from uninas.labelling import TooSymmetric, numbered


def resnext(paths: int) -> Graph:
    """A bottleneck whose grouped convolution is written out: a sum of paths (arXiv 1611.05431, fig. 3a)."""
    builder = GraphBuilder()
    norm, act = op("batch_norm"), op("relu")
    inner = (op("conv", kernel=1, ratio="1/64", bias=False), norm, act, op("conv", kernel=3, bias=False), norm, act)
    ends = [builder.chain(0, *inner, op("conv", kernel=1, ratio=64, bias=False), norm) for _ in range(paths)]
    return builder.build(builder.add(op("add"), *ends))


@pytest.mark.parametrize("paths", [32, 64])
def test_resnext_written_out_has_a_digest(paths: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hundredth of the bound of work, in any order, and other than with a path more."""
    monkeypatch.setattr(labelling, "MOST_WORK", 3_000)
    graph, rng = resnext(paths), random.Random(paths)
    found = {around(one, width=256).digest for one in (graph, relabelled_quickly(graph, rng), relabelled_quickly(graph, rng))}
    assert len(found) == 1
    assert around(resnext(paths + 1), width=256).digest not in found


def random_tree(rng: random.Random, builder: GraphBuilder, source: int, depth: int) -> int:
    """Branches in branches: sums and products of chains, most of them equal."""
    if depth == 0:
        return builder.chain(source, *[op(rng.choice(["batch_norm", "layer_norm", "gelu"])) for _ in range(rng.randrange(1, 4))])
    seeds = [rng.choice([1, 1, 1, 2]) + 10 * rng.randrange(100) for _ in range(1)] * rng.choice([2, 2, 3, 4])
    if rng.random() < 0.3:
        seeds.append(rng.randrange(1000))
    ends = [random_tree(random.Random(seed), builder, source, depth - 1) for seed in seeds]
    return builder.chain(builder.add(op(rng.choice(["add", "multiply"])), *ends), op("batch_norm"))


def shared_and_equal(seed: int) -> Graph:
    rng, builder = random.Random(seed), GraphBuilder()
    source = builder.chain(0, op("batch_norm"))
    one = random_tree(rng, builder, source, rng.choice([1, 2]))
    other = random_tree(rng, builder, rng.choice([source, 0, one]), 1)
    return builder.build(builder.add(op("add"), one, other))


@given(seed=st.integers(0, 2**32 - 1))
@examples(60)
def test_what_changes_places_leaves_the_graph_as_it_is(seed: int) -> None:
    """Swap any two equal branches, node by node: every node reads what it read."""
    graph = numbered(list((made := shared_and_equal(seed)).nodes), made.output)[0]
    for group in branches_of(graph):
        for one, other in itertools.combinations(group, 2):
            swap = dict(zip((*one, *other), (*other, *one), strict=True))
            assert len(swap) == 2 * len(one)
            for index, (operation, inputs) in enumerate(graph.nodes):
                image = graph.nodes[swap.get(index, index)]
                moved = [swap.get(i, i) for i in inputs]
                assert image.op is operation
                assert sorted(moved) == sorted(image.inputs) if operation.spec.commutative else moved == list(image.inputs)


@given(seed=st.integers(0, 2**32 - 1))
@examples(60)
def test_known_symmetries_change_no_form(seed: int) -> None:
    """The search that is told of equal branches finds what it finds without, where it is within its bound."""
    graph = shared_and_equal(seed)
    if len(graph.nodes) > 60:
        return
    told = numbered(list(graph.nodes), graph.output)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelling, "branches_of", lambda graph: [])
        patch.setattr(labelling, "MOST_WORK", 10**7)
        untold = numbered(list(graph.nodes), graph.output)[0]
    bound = labelling._Search(told)
    assert bound.base == [node.op.code for node in bound.nodes], "few enough to be set apart one after the other"
    assert told == untold


def hard(rng: random.Random) -> Graph:
    """A graph with symmetries that are none of branches, or that only seem to be symmetries."""
    kind, n = rng.choice(["tied", "circulant", "cycles", "alike"]), rng.randrange(4, 12)
    if kind == "tied":
        return tied(n, rng.randrange(1000))
    drawn = rng.choice([drawing, drawing_from_its_points])
    if kind == "circulant":
        return drawn(n, circulant(n, *rng.sample(range(1, n), 2)))
    if kind == "cycles":
        return drawn(3 * n, [*cycle(*range(n)), *cycle(*range(n, 2 * n)), *cycle(*range(2 * n, 3 * n))])
    vertices, one, other = ALIKE[rng.choice([name for name in ALIKE if "rook" not in name])]
    return drawn(2 * vertices, [*one, *((a + vertices, b + vertices) for a, b in other)])


@given(seed=st.integers(0, 2**32 - 1))
@examples(50)
def test_a_graph_is_refused_however_it_is_written_or_never(seed: int) -> None:
    """With a bound that is near to what such graphs need."""
    rng = random.Random(seed)
    graph = hard(rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelling, "MOST_WORK", rng.choice([1_000, 5_000, 20_000]))
        assert len({_form_or_refusal(relabelled(graph, rng)) for _ in range(3)}) == 1


def test_some_are_refused_and_some_are_not() -> None:
    """So that the bounds of the test above are near."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelling, "MOST_WORK", 10_000)
        found = ["too many" in _form_or_refusal(hard(random.Random(seed))) for seed in range(12)]
    assert 2 < sum(found) < 10


def _form_or_refusal(graph: Graph) -> str:
    try:
        return numbered(list(graph.nodes), graph.output)[0].text
    except TooSymmetric as error:
        return str(error)


def test_dead_parts_do_not_make_a_graph_too_symmetric(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leads nowhere is no part of the canonical form, nor of the work."""
    monkeypatch.setattr(labelling, "MOST_WORK", 2_000)
    monkeypatch.setattr(labelling, "_MOST_ROUNDS", 0)
    builder = GraphBuilder()
    builder.chain(0, *[op("batch_norm")] * 3_000)
    ends = [builder.chain(0, op("conv", kernel=3), op("batch_norm")) for _ in range(5)]
    assert around(builder.build(builder.add(op("add"), *ends))).digest == around(branches_without(5)).digest


def branches_without(count: int) -> Graph:
    builder = GraphBuilder()
    ends = [builder.chain(0, op("conv", kernel=3), op("batch_norm")) for _ in range(count)]
    return builder.build(builder.add(op("add"), *ends))


def test_branches_of_branches_are_many_and_quick() -> None:
    """Of 16 sums of 16 chains each; the search would find each symmetry by going down 255 ties."""
    builder = GraphBuilder()
    sums = []
    for _ in range(16):
        ends = [builder.chain(0, op("conv", kernel=3), op("batch_norm")) for _ in range(16)]
        sums.append(builder.chain(builder.add(op("multiply"), *ends), op("batch_norm")))
    graph = builder.build(builder.add(op("add"), *sums))
    assert sorted(len(group) for group in branches_of(graph)) == [16] * 17
    found, work = numbered(list(graph.nodes), graph.output)
    assert work < 10_000
    assert numbered(list((other := relabelled_quickly(graph, random.Random(0))).nodes), other.output)[0] == found


def test_a_refusal_names_file_and_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "MOST_WORK", 3_000)
    content = json.loads(document({"g0": branches(3), "g1": tied(24, 1)}, [["g0", "g0"], ["absent", "g1"]]))
    content["stages"].insert(0, {"width": 8, "blocks": [["g0", "g0"]]})
    path = tmp_path / "net.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    for command in (["cost", str(path)], ["show", str(path)]):
        with pytest.raises(SystemExit) as left:
            cli.main(command)
        assert left.value.code == 2
        said = capsys.readouterr().err
        assert f"{path}: stage 2, block 2, sub-block 2: the graph of 50 nodes has too many symmetries" in said.replace("\n", " ")
    content["stages"][1]["blocks"].pop()
    del content["graphs"]["g1"]
    content |= {"version": 2, "stem": "g2", "graphs": {**content["graphs"], "g2": _stem()}}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"net\.json: stem: the graph of 51 nodes has too many symmetries"):
        _ = labelling_of(path)


def _stem() -> list[str]:
    """Ending in 8 channels of 3: the hard graph behind a convolution."""
    graph, builder = tied(24, 1), GraphBuilder()
    start = builder.add(op("conv", kernel=1, ratio="8/3"), 0)
    return builder.build(builder.include(graph, start)).text.split("\n")


def labelling_of(path: Path) -> str:
    from uninas import load

    return load(path).digest
