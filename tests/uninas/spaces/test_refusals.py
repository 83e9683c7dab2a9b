"""What is no genotype, no text of one, no space: refused, and told what was expected and where."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from uninas import Architecture, InputError
from uninas.commands.space import command
from uninas.spaces import SPACES, ChoiceSpace, Product, own
from uninas.spaces.super_blocks import END, STEM

ROOT = Path(__file__).parents[3]
MINE = own.load(ROOT / "docs" / "examples" / "my_space.py")
ALL: dict[str, ChoiceSpace] = {**SPACES, "my_space": MINE}

every_space = pytest.mark.parametrize("space", ALL.values(), ids=ALL)

# --- what is refused --------------------------------------------------------------------------------------------------------

C3 = "conv3x3-bn-relu"
WRONG: list[tuple[str, Any, str]] = [
    ("nasbench101", None, "expected a mapping of ops and edges"),
    ("nasbench101", {"ops": [C3]}, "expected a mapping of ops and edges"),
    ("nasbench101", {"ops": [C3] * 6, "edges": [[0, 7]]}, "at most 5 operations"),
    ("nasbench101", {"ops": ["conv"], "edges": [[0, 2]]}, "got conv"),
    ("nasbench101", {"ops": [C3], "edges": [[1, 0]]}, "to a later one, 0 to 2"),
    ("nasbench101", {"ops": [C3], "edges": [[0, 3]]}, "to a later one, 0 to 2"),
    ("nasbench101", {"ops": [C3], "edges": [[0, True]]}, "to a later one"),
    ("nasbench101", {"ops": [C3], "edges": [[0, 2], [0, 1]]}, "in order, each once"),
    ("nasbench101", {"ops": [C3], "edges": [[0, 1]]}, "expected a way from input to output"),
    ("nasbench101", {"ops": [C3] * 3, "edges": list(map(list, itertools.combinations(range(5), 2)))}, "at most 9 edges"),
    ("nats_bench_size", {}, "expected an option for channels1; got none"),
    ("nats_bench_size", [8] * 5, "expected a mapping of channels1"),
    ("nats_bench_size", {f"channels{n}": 9 for n in range(1, 6)}, "channels1: expected one of 8, 16"),
    ("nats_bench_size", {f"channels{n}": 8.0 for n in range(1, 6)}, "channels1: expected one of 8, 16"),
    ("nats_bench_size", {f"channels{n}": 8 for n in range(1, 7)}, "expected no other positions"),
    ("my_space", {**MINE.start(), "third": "transformer"}, "expected no convolutions behind a transformer"),
    ("zennas", [[STEM, 8, 1], [END, 8, 1]], "expected a list of"),
    ("zennas", [[END, 8, 1], ["SuperResK3K3", 8, 1, 8, 1], [END, 8, 1]], f"super-block 1: expected one of {STEM}"),
    ("zennas", [[STEM, 8, 1], ["SuperResIDWE1K3", 8, 1, 8, 1], [END, 8, 1]], "super-block 2: expected one of SuperResK1K3K1"),
    ("zennas", [[STEM, 8, 1], ["SuperResK3K3", 8, 1, 8], [END, 8, 1]], "super-block 2: expected 4 whole numbers"),
    ("zennas", [[STEM, 8, 1], ["SuperResK3K3", 12, 1, 8, 1], [END, 8, 1]], "multiples of 8, at least 8; got 12"),
    ("zennas", [[STEM, 8, 1], ["SuperResK3K3", 8, 1, 4, 1], [END, 8, 1]], "multiples of 8, at least 8; got 4"),
    ("zennas", [[STEM, 8, 1], ["SuperResK3K3", 8, 3, 8, 1], [END, 8, 1]], "expected stride 1 or 2"),
    ("zennas", [[STEM, 8, 1], ["SuperResK3K3", 8, 1, 8, 0], [END, 8, 1]], "at least one layer"),
    ("zennas", [[STEM, 8, 1], *[["SuperResK3K3", 8, 1, 8, 5]] * 4, [END, 8, 1]], "at most 18 layers; got 22"),
]


@pytest.mark.parametrize(("name", "genotype", "message"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_genotype_is_told_so(name: str, genotype: Any, message: str) -> None:
    fault = ALL[name].fault(genotype)
    assert fault is not None
    assert message in fault


@every_space
@pytest.mark.parametrize("text", ["", "x", "1:2:3", "012", "|" * 50_000, "a=1", "Super", "٢٢٢٢٢٢٢٢", "op1=\n"])
def test_what_is_no_text_of_a_genotype_is_refused_in_a_line(space: ChoiceSpace, text: str) -> None:
    with pytest.raises(InputError) as caught:
        space.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(16,16,1,8,1)SuperConvK1BNRELU(16,8,1,1)", "expected SuperResK3K3(8,channels"),
        (
            "SuperConvK3BNRELU(3,8,1,2)SuperResK3K3(8,16,1,8,1)SuperConvK1BNRELU(16,8,1,1)",
            "expected SuperConvK3BNRELU(3,channels",
        ),
        ("SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8)SuperConvK1BNRELU(16,8,1,1)", "at character 26"),
        ("SuperConvK3BNRELU(3,8,1,1)SuperResK3K4(8,16,1,8,1)SuperConvK1BNRELU(16,8,1,1)", "super-block 2: expected one of"),
        ("SuperConvK3BNRELU(3,8,1,1)\n", "at character 26"),
    ],
)
def test_texts_of_super_blocks_are_refused_where_they_are_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        SPACES["zennas"].parse(text)
    assert message in str(caught.value)


# --- a space of one's own ---------------------------------------------------------------------------------------------------


def nothing(genotype: Any, classes: int, size: tuple[int, int]) -> Architecture:
    raise AssertionError


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ({"width": ()}, "width: expected options"),
        ({"w": (1, 1)}, "w: expected options that differ"),
        ({"w": ((1, 2), [1, 2])}, "w: expected options that differ"),
        ({"w": ("a b",)}, "blanks"),
        ({"w": {1, 2}}, "w: expected a list of options; got {1, 2}"),
        ({"w": "abc"}, "w: expected a list of options; got abc"),
        ({"w": (1, object())}, "w: expected JSON data"),
    ],
)
def test_options_that_cannot_be_told_apart_are_refused(positions: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Product(name="it", positions=positions, network=nothing)


def test_options_are_compared_as_json_compares_them() -> None:
    """A journal gives a tuple back as a list: it is the same option, and no neighbour of itself; 1, 1.0 and true are three."""
    space = Product(name="it", positions={"w": ((1, 2), (2, 1)), "x": (1, 1.0, True)}, network=nothing)
    stored = json.loads(json.dumps({"w": (1, 2), "x": 1}))
    assert space.fault(stored) is None
    assert sorted(space.text(one) for one in space.neighbours(stored)) == ["w=[1,2] x=1.0", "w=[1,2] x=true", "w=[2,1] x=1"]
    assert [space.parse(f"w=[2,1] x={x}")["x"] is value for x, value in (("1", 1), ("true", True))] == [True, True]


def test_a_space_without_a_legal_genotype_says_so() -> None:
    space = Product(name="it", positions={"w": (1, 2)}, network=nothing, legal=lambda genotype: "never")
    for ask in (lambda: space.sample(random.Random(0)), lambda: space.mutate({"w": 1}, random.Random(0))):
        with pytest.raises(InputError, match="it: expected a legal"):
            ask()


GOOD = "from uninas.spaces import Product\nSPACE = Product(name='it', positions={'w': (1, 2)}, network=print"
FILES: dict[str, tuple[str, str]] = {
    "syntax": ("a = 1\nb = = 2\n", "it.py, line 2: expected Python; invalid syntax"),
    "fails": ("import nothing_of_that_name\n", "it.py, line 1: expected to run; got ModuleNotFoundError: No module named"),
    "deep": ("def f():\n    return 1 / 0\nf()\n", "it.py, line 2: expected to run; got ZeroDivisionError"),
    "empty": ("", "it.py: expected it to define SPACE"),
    "other": ("SPACE = 3\n", "it.py: SPACE: expected a ChoiceSpace; int lacks name, size"),
    "start": (f"{GOOD}, first={{'w': 3}})\n", "it: start {'w': 3}: w: expected one of 1, 2; got 3"),
}


def refusal(folder: Path, text: str) -> str:
    """What `uninas space` says of a file, in a line that names it."""
    path = folder / "it.py"
    path.write_text(text)
    result = CliRunner().invoke(command, [str(path)])
    assert isinstance(result.exception, InputError), result.exception
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_space_is_refused_where_it_is_wrong(tmp_path: Path, case: str) -> None:
    text, message = FILES[case]
    assert message in refusal(tmp_path, text)


MINE_TEXT = (ROOT / "docs" / "examples" / "my_space.py").read_text()
MISTAKES: dict[str, tuple[str, str, str]] = {
    "no return": (
        "    return Architecture(",
        "    Architecture(",
        "expected an Architecture (does network return it?); got None",
    ),
    "a typo": ('genotype["depths"]', 'genotype["depth"]', "line 23: build of {'width': 16, 'depths': [1, 1, 1, 1]"),
    "an argument less": (
        "def network(genotype, classes, input_size)",
        "def network(genotype, classes)",
        "got TypeError: network() takes 2",
    ),
    "one side": ("input_size=(64, 64)", "input_size=64", "input_size: expected (height, width) in pixels; got 64"),
    "no classes": ("classes=10", "classes=0", "classes: expected a whole number of at least 1; got 0"),
    "no tuple": (
        "Block((mbconv(kernel=3), zero()))",
        "Block(mbconv(kernel=3))",
        "expected an Architecture of stages of blocks of",
    ),
    "no stages": ("Architecture(tuple(stages), ", "Architecture(stages[0], ", "expected an Architecture of stages of blocks of"),
    "a set": (
        "(16, 24, 32)",
        "{16, 24}",
        "it.py, line 35: expected to run; got ValueError: my_space: width: expected a list of options",
    ),
    "yes": ("    return None\n", "    return True\n", "legal: expected a text that explains what is wrong, or None; got True"),
    "no": ("    return None\n", "    return False\n", "legal: expected a text that explains what is wrong, or None; got False"),
    "leaves": (
        "def legal(genotype):",
        "raise SystemExit(3)\n\n\ndef legal(genotype):",
        "it.py, line 28: expected to run; got SystemExit: 3",
    ),
    "late": ("    return None\n", "    raise SystemExit\n", "fault of {'width': 16"),
    "a class": ("SPACE = Product(", "class SPACE(int): pass\nProduct(", "expected a ChoiceSpace; got its class: SPACE = SPACE()"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_ones_own_space_is_a_line_that_says_where(tmp_path: Path, case: str) -> None:
    before, after, message = MISTAKES[case]
    assert before in MINE_TEXT
    said = refusal(tmp_path, MINE_TEXT.replace(before, after))
    assert message in said
    assert said.startswith(str(tmp_path / "it.py"))


def test_the_command_counts_what_cannot_be_built(tmp_path: Path) -> None:
    path = tmp_path / "it.py"
    path.write_text(MINE_TEXT.replace("(16, 24, 32)", "(16, 18)"))
    result = CliRunner().invoke(command, [str(path)])
    assert result.exit_code == 0, result.output
    assert "cannot be built; my_space: expected to build width=18 depths=" in result.output
    assert "cannot split 72 and 72 channels into heads of 16" in result.output
    found = json.loads(CliRunner().invoke(command, [str(path), "--json"]).output)
    assert 0 < found["unbuilt"] < found["samples"] == 100
    only = "def legal(genotype):\n    return None if genotype['fourth'] == 'transformer' else 'no'\n\n\ndef other(genotype):"
    none = MINE_TEXT.replace("(16, 24, 32)", "(18,)").replace("def legal(genotype):", only)
    assert "expected to build width=18" in refusal(
        tmp_path, none.replace("    network=network,", "    network=network, first={'fourth': 'transformer'},")
    )


def test_a_file_may_hold_dataclasses_and_a_space_that_is_no_product(tmp_path: Path) -> None:
    wrapper: Callable[[str], str] = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom uninas.spaces import SPACES\n"
        "BASE = SPACES['nats_bench_size']\n@dataclass(frozen=True)\nclass Mine:\n    name: str = 'mine'\n"
        "    def __getattr__(self, name):\n        return getattr(BASE, name)\nSPACE = Mine()\n{}"
    ).format
    path = tmp_path / "it.py"
    path.write_text(wrapper(""))
    assert own.load(path).name == "mine"
    with pytest.raises(InputError, match="no such file"):
        own.load(tmp_path / "none.py")


def test_the_command_lists_spaces_and_draws_from_one_of_ones_own() -> None:
    run = CliRunner().invoke
    assert list(json.loads(run(command, ["--json"]).output)) == list(SPACES)
    assert "nats_bench_size   32,768 genotypes" in run(command, []).output
    mine = [str(ROOT / "docs" / "examples" / "my_space.py"), "--samples", "8", "--size", "32x64", "--classes", "3"]
    assert run(command, mine).output.startswith("my_space at 32x64, 3 classes: size unknown\n")
    found = json.loads(run(command, [*mine, "--json"]).output)
    assert 1 < found["distinct"] <= found["samples"] == 8
    for row in found["cost"].values():
        assert row["least"] <= row["median"] <= row["most"]
    assert found["cost"]["params"]["least"] > 100_000
    refused = run(command, ["nats"])
    assert isinstance(refused.exception, InputError)
    assert "expected a space (mobilenetv2, " in str(refused.exception)
