"""NAS-Bench-201 as architectures of the one graph: the network that was trained, and the space's own facts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from scipy.stats import kendalltau
from torch import nn

from tests.uninas.running import distance, executed_macs, noise, scramble
from tests.uninas.spaces.nasbench201_oracle import TinyNetwork, operations
from uninas import InputError, canonicalise, cost, load, mutate, parse, to_text, warnings_of
from uninas.analysis.graph_cost import graph_cost
from uninas.canonical import canonical_plain
from uninas.commands.cost import command
from uninas.compile.module import Network, build
from uninas.drawing import draw_architecture, overview
from uninas.graph import Flow, Stage
from uninas.ops import Place
from uninas.spaces.nasbench201 import EDGES, OPERATIONS, all_cells, architecture, cell, cell_text, is_reachable, parse_cell

CELLS = list(all_cells())
NONE, SKIP, CONV1, CONV3, POOL = OPERATIONS
DENSE = cell_text([CONV3] * 6)

# Dead edges of every kind, and the cells where nothing or everything is alike; then others by a seed.
SAMPLE = [cell_text([name] * 6) for name in OPERATIONS] + [
    cell_text([CONV3, NONE, NONE, CONV1, NONE, NONE]),  # node 1 is read by nobody
    cell_text([NONE, CONV1, CONV3, SKIP, CONV3, POOL]),  # node 1 is zero, and is read
    cell_text([CONV1, POOL, NONE, NONE, NONE, NONE]),  # the output is zero
    cell_text([NONE, NONE, NONE, NONE, CONV3, NONE]),  # the output is a BatchNorm of zeros
    cell_text([CONV1, NONE, SKIP, NONE, NONE, CONV3]),
    *random.Random(0).sample(CELLS, 40),
]


def pair(text: str, seed: int = 0, **sizes: int) -> tuple[TinyNetwork, Network]:
    """The oracle and the compiled stored form with one set of scrambled weights, in float64."""
    oracle = scramble(TinyNetwork(text, **sizes).double(), seed)
    module = build(architecture(text, **sizes)).double()
    kinds = nn.Conv2d | nn.BatchNorm2d | nn.Linear
    layers = [[part for part in net.modules() if isinstance(part, kinds)] for net in (oracle, module)]
    for one, other in zip(*layers, strict=True):
        other.load_state_dict(one.state_dict())
    assert isinstance(oracle, TinyNetwork)
    return oracle, module


# --- the network ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SAMPLE)
def test_the_network_is_the_one_that_was_trained(text: str) -> None:
    """Stored form, thin and shallow for speed; parameters and MACs at full size too."""
    oracle, module = pair(text, channels=4, cells=2)
    x = noise(2, 3, 16, 16, dtype=torch.float64)
    for training in (True, False):
        one, two = oracle.train(training)(x), module.train(training)(x)
        assert distance(two, one) < 1e-12
    small = cost(architecture(text, channels=4, cells=2, input_size=(16, 16)))
    assert small.params == sum(p.numel() for p in oracle.parameters())
    with torch.device("meta"):
        full = TinyNetwork(text)
    figures = cost(architecture(text))
    assert figures.params == sum(p.numel() for p in full.parameters())
    assert figures.layers == sum(isinstance(part, nn.Conv2d | nn.Linear) for part in full.modules())


@pytest.mark.parametrize("text", SAMPLE)
def test_macs_are_those_that_the_network_executes(text: str) -> None:
    """The naive network runs dead edges as well, and so counts as the stored form does."""
    with torch.device("meta"):
        full = TinyNetwork(text)
    for size in ((32, 32), (16, 16)):
        assert cost(architecture(text), size).macs == executed_macs(full, size, device="meta")


@pytest.mark.parametrize("text", [DENSE, SAMPLE[6], SAMPLE[12]])
def test_full_size_gives_the_same_logits_gradients_and_statistics(text: str) -> None:
    oracle, module = pair(text, classes=7)
    x, results, gradients = noise(2, 3, 32, 32, dtype=torch.float64), [], []
    for net in (oracle, module):
        logits = net(x)
        (logits * noise(2, 7, seed=3, dtype=torch.float64)).sum().backward()
        results.append(logits)
        gradients.append([p.grad for p in net.parameters() if p.grad is not None and p.grad.any()])
    assert distance(results[1], results[0]) < 1e-12
    for one, other in zip(*gradients, strict=True):
        assert distance(other, one) < 1e-9
    assert distance(module.eval()(x), oracle.eval()(x)) < 1e-12, "running statistics moved alike"


@pytest.mark.parametrize("text", [text for text in SAMPLE if is_reachable(text)][:20])
def test_the_canonical_form_keeps_the_function(text: str) -> None:
    """Instances are numbered anew, so weights are given alike to all layers of a kind in a cell."""
    stored = architecture(text, channels=4, cells=1)
    one = build(stored).double().eval()
    two = build(canonicalise(stored)).double().eval()
    for net in (one, two):
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                prefix, _, leaf = name.rpartition(".")
                kind = prefix.rsplit("_", 1)[0]
                drawn = noise(*value.shape, seed=sum(map(ord, kind + leaf)), dtype=torch.float64)
                positive = leaf == "running_var" or ("norm" in kind and leaf == "weight")
                value.copy_(1 + 0.2 * drawn.tanh() if positive else 0.4 * drawn)
    x = noise(2, 3, 12, 12, dtype=torch.float64)
    assert distance(two(x), one(x)) < 1e-10


def test_figures_that_are_known() -> None:
    figures = cost(architecture(DENSE))
    assert (figures.params, figures.layers) == (1_531_546, 1 + 15 * 6 + 2 * 3 + 1)
    assert cost(architecture(DENSE, classes=120)).params == 1_531_546 + 110 * 65
    assert cost(architecture(cell_text([NONE] * 6))).params == 73_306 == 448 + 16 + (13_952 + 9 * 0 + 512 + 128) + 58_250
    assert cost(architecture(DENSE, input_size=(16, 16))).macs * 4 == cost(architecture(DENSE)).macs + 3 * 640, "all but the head"


def test_the_door_to_scores() -> None:
    module = build(architecture(SAMPLE[-1]))
    blocks = [name for name, _ in module.block_outputs()]
    assert len(blocks) == 17
    assert blocks[5] == "stages.1.entry"
    assert blocks[11] == "stages.2.entry"
    shapes = [tuple(made.shape[1:]) for made in module.forward_features(noise(1, 3, 32, 32))]
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    text = cell_text([CONV1, CONV3, CONV1, CONV3, CONV3, CONV1])
    kernels = [layer.kernel_size[0] for name, layer in build(architecture(text)).scoring_layers() if "stages.0.blocks.0" in name]
    assert kernels == [1, 3, 1, 3, 3, 1], "in the order of the text"


def test_thin_and_tiny_networks_exist() -> None:
    module = build(architecture(DENSE, channels=1, cells=1, in_channels=1, input_size=(3, 3)))
    assert module(noise(5, 1, 3, 3)).shape == (5, 10)
    with pytest.raises(InputError, match="at least 1"):
        architecture(DENSE, cells=0)


# --- the space --------------------------------------------------------------------------------------------------------------


def test_every_cell_is_written_once_and_read_back() -> None:
    assert len(CELLS) == len(set(CELLS)) == 5**6
    assert all(cell_text(parse_cell(text)) == text for text in CELLS)
    assert all(list(parse_cell(text)) == operations(text) for text in CELLS[::97])
    assert CELLS[0] == "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert parse_cell(CELLS[1]) == (NONE,) * 5 + (SKIP,)


WRONG = {
    "": "3 nodes joined by '+'",
    "none": "3 nodes",
    "|none~0|+|none~0|none~1|": "3 nodes",
    "|none~0|+|none~0|+|none~0|none~1|none~2|": "node 2 to name 2 edge(s)",
    "|none~0|+|none~0|none~1|none~2|+|none~0|none~1|none~2|": "node 2 to name 2 edge(s)",
    "none~0+|none~0|none~1|+|none~0|none~1|none~2|": "node 1 to name 1 edge(s) between bars",
    "|none~0|+|none~0|none~1|+|none~0|dil_conv~1|none~2|": "on the edge from 1 to 3, got 'dil_conv'",
    "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|": "edge 0 of node 2 to come from node 0, got 'none~1'",
    "|none|+|none~0|none~1|+|none~0|none~1|none~2|": "edge 0 of node 1 to come from node 0",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~٢|": "edge 2 of node 3",
    "|" * 100_000: "3 nodes",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_no_cell_is_refused_where_it_is_wrong(text: str) -> None:
    for derive in (parse_cell, is_reachable, architecture, lambda t: load(f"nasbench201:{t}")):
        with pytest.raises(InputError) as caught:
            derive(text)
        assert WRONG[text] in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("names", [[], ["none"] * 5, ["none"] * 7, ["none"] * 5 + ["conv"]])
def test_what_are_no_operations_of_a_cell_is_refused(names: list[str]) -> None:
    with pytest.raises(InputError, match="expected 6 of none"):
        cell_text(names)


def test_reachable_cells_use_every_edge() -> None:
    """By brute force: an edge is used when a path over edges that are not none leads through it."""
    paths = [((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3))]
    for text in CELLS[::7]:
        there = {edge for edge, name in zip(EDGES, parse_cell(text), strict=True) if name != NONE}
        used = {edge for path in paths if set(path) <= there for edge in path}
        assert is_reachable(text) == (used == there)
    assert sum(map(is_reachable, CELLS)) == 9_445


def swapped(text: str) -> str:
    """The cell with the roles of nodes 1 and 2 exchanged; they must not read each other."""
    a, b, between, direct, c, d = parse_cell(text)
    assert between == NONE
    return cell_text([b, a, between, direct, d, c])


def test_isomorphic_cells_share_a_digest_and_others_do_not() -> None:
    rng = random.Random(1)
    for _ in range(100):
        names = [rng.choice(OPERATIONS) for _ in EDGES]
        names[2] = NONE
        text = cell_text(names)
        assert architecture(text).digest == architecture(swapped(text)).digest
    # A skip makes node 1 the input itself, and so node 2's two edges read the same.
    one = cell_text([SKIP, CONV3, CONV1, NONE, NONE, SKIP])
    assert architecture(one).digest == architecture(cell_text([SKIP, CONV1, CONV3, NONE, NONE, SKIP])).digest
    # Edges that reach no output are gone, with their weights.
    dead = cell_text([CONV3, NONE, NONE, CONV1, NONE, NONE])
    alive = cell_text([NONE, NONE, NONE, CONV1, NONE, NONE])
    assert architecture(dead).digest == architecture(alive).digest
    assert cost(architecture(dead)).trainable_params == cost(architecture(alive)).params < cost(architecture(dead)).params
    # A convolution of nothing still ends in a BatchNorm, which shifts.
    assert architecture(cell_text([NONE, NONE, NONE, CONV1, CONV3, NONE])).digest != architecture(alive).digest
    alike = [cell_text([name] * 6) for name in OPERATIONS]
    assert len({architecture(text).digest for text in alike}) == 5
    assert architecture(DENSE).digest != architecture(DENSE, cells=4).digest


def test_all_cells_have_few_distinct_functions() -> None:
    """Digests over the whole space; a change of the canonical form shows here."""
    forms = [canonical_plain(cell(text), Stage(4, ())).text for text in CELLS]
    reachable = [form for form, text in zip(forms, CELLS, strict=True) if is_reachable(text)]
    assert (len(set(forms)), len(set(reachable))) == (6_398, 6_147)


@pytest.mark.parametrize("text", SAMPLE[:12])
def test_files_drawings_warnings_and_edits(text: str) -> None:
    network = architecture(text)
    assert parse(to_text(network)) == network
    drawn = draw_architecture(network)
    assert "Transition  ·  into stage 2, stage 3  ·  C = 16, 32" in drawn
    assert "A plain block is x ← S(x)" in drawn
    kinds = [(kind.role, kind.letter) for kind in overview(network).kinds]
    assert kinds == [("Stem", "Stem"), ("Block", "A"), ("Transition", "B"), ("Head", "Head")]
    assert warnings_of(network) == []
    child = mutate(network, random.Random(3))
    assert child is not None


def test_cells_are_named_on_the_command_line() -> None:
    name = f"nasbench201:{DENSE}"
    assert load(name) == architecture(DENSE)
    result = CliRunner().invoke(command, [name, "--size", "16", "--json"])
    assert json.loads(result.output)["params"] == 1_531_546
    assert "nasbench201:" in CliRunner().invoke(command, ["--help"]).output


# --- the published accuracies -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def accuracies(data_folder: Path) -> pd.DataFrame:
    return pd.read_csv(data_folder / "nasbench201" / "nb201_accuracies.csv")


def test_reachable_as_in_the_published_list(accuracies: pd.DataFrame) -> None:
    assert sorted(accuracies["arch_str"]) == sorted(CELLS)
    assert [int(is_reachable(text)) for text in accuracies["arch_str"]] == accuracies["reachable"].tolist()


PUBLISHED: dict[str, tuple[int, float, dict[str, float]]] = {
    "layers": (2, 0.001, {"cifar10": 0.626, "cifar100": 0.646, "imagenet16_120": 0.623}),
    "MACs": (1, 0.003, {"cifar10": 0.623, "cifar100": 0.586, "imagenet16_120": 0.545}),
}
"""Place among a graph's counts, tolerance, Kendall's tau with accuracy on the 9,445 cells (VKDNW's Table I, aleph and FLOPs)."""


@pytest.mark.parametrize("count", PUBLISHED)
def test_counts_rank_as_published(count: str, accuracies: pd.DataFrame) -> None:
    table = accuracies[accuracies["reachable"] == 1]
    position, tolerance, published = PUBLISHED[count]
    # All else in the network is the same for every cell, and MACs are the same at each of its three widths.
    scores = [graph_cost(cell(text), Flow(16, Place(32, 32, 32, 32)))[position] for text in table["arch_str"]]
    for dataset, tau in published.items():
        assert kendalltau(scores, table[dataset]).statistic == pytest.approx(tau, abs=tolerance), dataset
