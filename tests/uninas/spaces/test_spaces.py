"""One suite for every space of choices: what each must hold, and the published figures that each must give."""

from __future__ import annotations

import copy
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.uninas.running import noise
from tests.uninas.spaces import oracles
from tests.uninas.spaces.oracles import differences
from uninas import canonicalise, cost, load, parse, to_text
from uninas.commands.cost import command
from uninas.compile.module import build
from uninas.spaces import SPACES, ChoiceSpace, architecture_of, nasbench1shot1, nasbench101, own
from uninas.spaces.super_blocks import END, STEM

ROOT = Path(__file__).parents[3]
MINE = own.load(ROOT / "docs" / "examples" / "my_space.py")
ALL: dict[str, ChoiceSpace] = {**SPACES, "my_space": MINE}

every_space = pytest.mark.parametrize("space", ALL.values(), ids=ALL)


def samples(space: ChoiceSpace, count: int, seed: int = 0) -> list[Any]:
    rng = random.Random(seed)
    return [space.start(), *[space.sample(rng) for _ in range(count)]]


# --- what every space holds -------------------------------------------------------------------------------------------------


@every_space
def test_samples_are_legal_build_and_come_back(space: ChoiceSpace) -> None:
    for genotype in samples(space, 25):
        assert space.fault(genotype) is None
        assert json.loads(json.dumps(genotype)) == genotype, "plain JSON data, so that a journal gives it back"
        text = space.text(genotype)
        assert "\n" not in text
        assert space.parse(text) == genotype
        network = space.build(genotype, 7, (64, 32))
        assert (network.classes, network.input_size) == (7, (64, 32))
        assert parse(to_text(network)) == network
        assert parse(to_text(canonicalise(network))).digest == network.digest


def changes(one: Any, other: Any) -> int:
    """How many choices differ; of a list of super-blocks, those that another one, or the two of a split one, stand for."""
    if isinstance(one, dict) and "edges" in one:
        flipped = set(map(tuple, one["edges"])) ^ set(map(tuple, other["edges"]))
        return len(flipped) + sum(a != b for a, b in zip(one["ops"], other["ops"], strict=True))
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return sum(one[key] != other[key] for key in one)
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return len(one) if len(other) - len(one) in (0, 1) else 99


@every_space
def test_a_mutation_changes_one_choice_and_stays_legal(space: ChoiceSpace) -> None:
    rng = random.Random(1)
    for genotype in (space.start(), space.sample(rng)):
        seen = set()
        for _ in range(60):
            before = copy.deepcopy(genotype)
            child = space.mutate(genotype, rng)
            assert genotype == before, "the argument is left as it was"
            assert space.fault(child) is None
            assert child != genotype
            assert changes(genotype, child) == 1
            genotype = child
            seen.add(space.text(child))
        assert len(seen) > 20


@every_space
def test_the_seed_decides(space: ChoiceSpace) -> None:
    assert samples(space, 5) == samples(space, 5)
    assert samples(space, 5) != samples(space, 5, seed=1)


def test_the_seed_decides_in_any_process() -> None:
    """No order of a set, which differs between processes, may leak into a genotype."""
    code = (
        "import random, json; from uninas.spaces import SPACES; rng = random.Random(3)\n"
        "def walk(space, genotype):\n"
        "    for _ in range(20): genotype = space.mutate(genotype, rng)\n"
        "    return genotype\n"
        "print(json.dumps([walk(space, space.sample(rng)) for space in SPACES.values()]))"
    )
    told = []
    for hashing in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hashing, "PYTHONPATH": str(ROOT)}
        told.append(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout)
    assert told[0] == told[1]
    assert len(told[0]) > 1000


@every_space
def test_networks_run(space: ChoiceSpace) -> None:
    for genotype in samples(space, 2, seed=5)[1:]:
        network = build(space.build(genotype, 5, (32, 32)))
        logits = network(noise(2, 3, 32, 32))
        assert logits.shape == (2, 5)
        assert logits.isfinite().all()


# --- networks, against naive ones ------------------------------------------------------------------------------------------


CELLS = [
    space.start() if seed is None else space.sample(random.Random(seed))
    for space in (nasbench101.SPACE,)
    for seed in (None, *range(12))
] + [
    {"ops": [], "edges": [[0, 1]]},
    # Three vertices share the output unevenly, and the first, which has a channel more, leads to the last: it is cut.
    {"ops": ["conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3"], "edges": [[0, 1], [0, 2], [1, 3], [1, 4], [2, 4], [3, 4]]},
]


@pytest.mark.parametrize("genotype", CELLS, ids=range(len(CELLS)))
@pytest.mark.parametrize("stem", [16, 23])
def test_cells_of_nasbench101_compute_what_the_benchmark_trained(genotype: Any, stem: int) -> None:
    """Thin, for speed; 16 and 23 leave other remainders when they are shared."""
    edges = [tuple(edge) for edge in genotype["edges"]]
    names, kept = nasbench101.pruned(genotype["ops"], edges) or ((), ())
    count = len(names) + 2
    matrix = [[int((source, target) in kept) for target in range(count)] for source in range(count)]
    network = nasbench101.network_of(genotype["ops"], edges, 10, (16, 16), stem=stem)
    assert differences(network, oracles.nasbench101(matrix, names, stem=stem), 16) == {}


@pytest.mark.parametrize("name", ["mobilenetv2", "zennas"])
def test_super_blocks_compute_what_the_authors_build(name: str) -> None:
    """Slim, for speed; then those whose first layer would need no projection, and has one."""
    space = SPACES[name]
    even = {
        "mobilenetv2": [["SuperResIDWE2K3", 16, 1, 16, 2]],
        "zennas": [[k, 16, 1, 8, 2] for k in ("SuperResK3K3", "SuperResK1K5K1")],
    }
    slim = [[[STEM, 16, 2], *even[name], [END, 24, 1]]]
    for genotype in samples(space, 4, seed=2):
        slim.append(
            [[kind, min(out, 48), *rest[:1], *(min(b, 32) for b in rest[1:2]), *rest[2:]] for kind, out, *rest in genotype]
        )
    for genotype in slim:
        assert space.fault(genotype) is None
        assert differences(space.build(genotype, 10, (32, 32)), oracles.super_blocks(space.text(genotype), 10)) == {}


@pytest.mark.parametrize("text", ["00000000", "11111111", "22222222", "01201202", "10021020"])
def test_nasbench_macro_computes_what_the_authors_build(text: str) -> None:
    assert differences(architecture_of(SPACES["nasbench_macro"], text), oracles.macro(text), 16) == {}


@pytest.mark.parametrize("text", ["8:8:8:8:8", "8:8:16:40:40", "24:16:8:48:56"])
def test_nats_bench_size_computes_what_the_authors_build(text: str) -> None:
    assert differences(architecture_of(SPACES["nats_bench_size"], text), oracles.sizes(list(map(int, text.split(":")))), 16) == {}


# --- published figures ------------------------------------------------------------------------------------------------------

INCEPTION = "conv1x1-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3|0-1,0-2,0-3,0-5,1-6,2-6,3-4,4-6,5-6"
FIRST_LISTED = "conv3x3-bn-relu,maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu|0-1,0-4,0-5,1-2,2-3,2-6,3-5,4-5,5-6"
PARAMS = {
    # `trainable_parameters` of the benchmark's own data: its NASBench.ipynb, and the example of several users' readers of it.
    ("nasbench101", INCEPTION): 2_694_282,
    ("nasbench101", FIRST_LISTED): 8_555_530,
    # 0.011714, 0.107826 and 0.713674 M in the benchmark's data, which its API shows as `params`.
    ("nats_bench_size", "8:8:8:8:8"): 11_714,
    ("nats_bench_size", "8:8:16:40:40"): 107_826,
    ("nats_bench_size", "64:64:64:64:64"): 713_674,
    # The first network of AZ-NAS's script, counted on the authors' own modules by others: 2,824,264 and 159,334,080 MACs.
    ("mobilenetv2", SPACES["mobilenetv2"].text(SPACES["mobilenetv2"].start())): 2_824_264,
    ("nasbench201", "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"): 1_531_546,
}


@pytest.mark.parametrize(("name", "text"), PARAMS, ids=range(len(PARAMS)))
def test_parameters_are_the_published_ones(name: str, text: str) -> None:
    assert cost(load(f"{name}:{text}")).params == PARAMS[name, text]


def test_macs_of_the_first_mobilenetv2_network_are_those_that_others_counted() -> None:
    assert cost(SPACES["mobilenetv2"].build(SPACES["mobilenetv2"].start(), 1000, (224, 224))).macs == 159_334_080


def test_zennet_cifar_has_its_published_size() -> None:
    """zennet_cifar_model_size1M_res32: 1.0M and 162M in the authors' README, whose count of operations takes BatchNorm in."""
    text = (
        "SuperConvK3BNRELU(3,88,1,1)SuperResK1K7K1(88,120,1,16,1)SuperResK1K7K1(120,192,2,16,3)SuperResK1K5K1(192,224,1,24,4)"
        "SuperResK1K5K1(224,96,2,24,2)SuperResK1K3K1(96,168,2,40,3)SuperResK1K3K1(168,112,1,48,3)SuperConvK1BNRELU(112,512,1,1)"
    )
    figures = cost(architecture_of(SPACES["zennas"], text, classes=10))
    assert round(figures.params / 1e6, 1) == 1.0
    assert figures.macs < 162e6 < 1.02 * figures.macs


# --- how many there are -----------------------------------------------------------------------------------------------------


def test_sizes() -> None:
    """As published; but 1Shot1's follow from how many parents its nodes have, and NDS's ResNet is a superset."""
    assert {name: space.size for name, space in SPACES.items()} == {
        "mobilenetv2": None,
        "zennas": None,
        "nasbench101": 423_624,
        "nasbench1shot1_1": 3 * 6 * 10 * 3**4,
        "nasbench1shot1_2": 2 * 3 * 6 * 10 * 3**4,
        "nasbench1shot1_3": 2 * 3 * 6 * 10 * 15 * 3**5,
        "nasbench201": 5**6,
        "nats_bench_size": 8**5,
        "nasbench_macro": 3**8,
        "darts": (180 * 7**8) ** 2,
        "darts_imagenet": (180 * 7**8) ** 2,
        "nds_darts": 241_591_910_400**2 * 15,
        "nds_nasnet": (120 * 6 * 13**5) ** 4 * 15,
        "nds_enas": (120 * 6 * 5**5) ** 4 * 15,
        "nds_amoeba": (120 * 6 * 8**5) ** 4 * 15,
        "nds_pnas": (120 * 6 * 8**5) ** 4 * 15,
        "autoformer": 3 * (4**12 + 4**13 + 4**14),
        "pit": None,
        "nds_resnet": (24 * 31) ** 3,
        "nds_resnext_a": 11_390_625,
        "nds_resnext_b": 52_734_375,
        "transnas_micro": 4_096,
        "transnas_macro": None,
        "blox": 91_125,
    }


def test_nasbench101_has_as_many_small_cells_as_the_benchmark() -> None:
    """1, 6, 84 and 2,441 cells of 2 to 5 vertices differ, of the 423,624 (with 62,010 of 6 and 359,082 of 7)."""
    counts = []
    for vertices in (2, 3, 4, 5):
        pairs = list(itertools.combinations(range(vertices), 2))
        found = set()
        for bits in range(2 ** len(pairs)):
            edges = [pair for place, pair in enumerate(pairs) if bits >> place & 1]
            for names in itertools.product(nasbench101.OPERATIONS, repeat=vertices - 2):
                genotype = {"ops": list(names), "edges": [list(edge) for edge in edges]}
                if nasbench101.SPACE.fault(genotype) is None and nasbench101.pruned(names, edges) == (names, tuple(edges)):
                    found.add(smallest(names, edges))
        counts.append(len(found))
    assert counts == [1, 6, 84, 2_441]


def smallest(names: tuple[str, ...], edges: list[tuple[int, int]]) -> Any:
    """The least of all ways to number the vertices between input and output."""
    inner, last, best = range(1, len(names) + 1), len(names) + 1, None
    for order in itertools.permutations(inner):
        new = {0: 0, last: last, **dict(zip(inner, order, strict=True))}
        called = tuple([name for _, name in sorted(zip(order, names, strict=True))])
        way = (called, tuple(sorted((new[source], new[target]) for source, target in edges)))
        best = way if best is None or way < best else best
    return best


def test_nasbench_macro_has_3969_networks_that_differ() -> None:
    """9 x 21 x 21: behind the first of a stage only the order of what is no identity matters; 3 stages of 2, 3 and 3 layers."""
    space = SPACES["nasbench_macro"]
    digests = {architecture_of(space, "".join(digits)).digest for digits in itertools.product("012", repeat=8)}
    assert len(digests) == 3_969


def test_a_small_cell_of_nasbench101_grows_into_the_space() -> None:
    """A vertex more at a time, up to seven, and every way that is left is a vertex's way: 0-1 alone is the way past them."""
    space, rng = nasbench101.SPACE, random.Random(0)
    genotype = space.parse("|0-1")
    grown = list(space.neighbours(genotype))
    assert sorted(map(space.text, grown)) == sorted(f"{name}|0-1,0-2,1-2" for name in nasbench101.OPERATIONS)
    sizes = set()
    for _ in range(200):
        genotype = space.mutate(genotype, rng)
        assert space.fault(genotype) is None
        sizes.add(len(genotype["ops"]))
    assert sizes == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("name", nasbench1shot1.SPACES)
def test_cells_of_nasbench1shot1_are_cells_of_nasbench101(name: str) -> None:
    space = nasbench1shot1.SPACES[name]
    parents = [position for position in space.positions if position.startswith("parents")]
    for chosen in itertools.product(*(space.positions[position] for position in parents)):
        edges = sorted([source, node] for node, sources in enumerate(chosen, 1) for source in sources)
        assert len(edges) <= 9
        assert nasbench101.SPACE.fault({"ops": ["maxpool3x3"] * (len(parents) - 1), "edges": edges}) is None


def test_six_layers_and_more_become_two_super_blocks_of_three() -> None:
    space, rng = SPACES["zennas"], random.Random(0)
    deep = [[STEM, 8, 1], ["SuperResK3K3", 16, 2, 8, 5], [END, 32, 1]]
    grown = [child for child in (space.mutate(deep, rng) for _ in range(300)) if len(child) == 4]
    assert grown
    assert all([block[4] for block in child[1:3]] == [3, 3] and [block[2] for block in child[1:3]] == [2, 1] for child in grown)
    assert all(block[4] < 6 for genotype in samples(space, 30) for block in genotype[1:-1])


def test_points_of_every_space_are_named_on_the_command_line() -> None:
    for name, space in SPACES.items():
        result = CliRunner().invoke(command, [f"{name}:{space.text(space.start())}", "--json"])
        assert json.loads(result.output)["params"] == cost(space.build(space.start(), space.classes, space.input_size)).params
