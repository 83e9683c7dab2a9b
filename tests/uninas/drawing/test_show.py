"""The command that reads a network: overview, stage and block in the terminal, pictures in files."""

import io
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from rich.console import Console

from uninas import InputError, preset, to_text
from uninas.commands.show import command
from uninas.drawing import overview, overview_table
from uninas.networks.presets import PRESETS
from uninas.networks.zoo import ZOO

COATNET = """\
part     size     stride   ch  blocks                             params    MACs
Stem     112×112       2   64  conv3/2-BN-GELU, conv3             19.4 k   242 M
Stage 1  56×56         4   96  A ×2  MBConv ×4 dw5 + SE            333 k   561 M
Stage 2  28×28         8  192  A ×3  MBConv ×4 dw5 + SE           1.88 M   769 M
Stage 3  14×14        16  384  B ×5  attention 12 heads of 32 +   9.08 M  1.91 G
                               bias | MLP ×4
Stage 4  7×7          32  768  B ×2  attention 24 heads of 32 +   14.8 M   730 M
                               bias | MLP ×4
Head     1×1                   LayerNorm, global average, linear   771 k   768 k
                               → 1000
Total                          64 layers                          26.9 M  4.21 G
"""

TRANSITION = """\
Stage 2  56×56, 24 ch, transition, 1 block  16.7 k params (0.3 %), 54.9 M MACs (14 %)
Transition B  MBConv ×6 dw3/2 + SE  into stage 2
└── S  S(x), S = MBConv ×6 dw3/2 + SE
    ├──  0 x  16 ch
    ├──  1 conv 1×1  96 ch
    ├──  2 BatchNorm
    ├──  3 SiLU
    ├──  4 depthwise 3×3 stride 2  96 ch, stride 2
    ├──  5 BatchNorm
    ├──  6 SiLU
    ├── SE
    │   ├──  7 global average  96 ch, 1×1
    │   ├──  8 conv 1×1  4 ch, 1×1
    │   ├──  9 SiLU
    │   ├── 10 conv 1×1  96 ch, 1×1
    │   ├── 11 sigmoid
    │   ├── 12 broadcast  96 ch, stride 2
    │   └── 13 ×  ← 6, 12
    ├── 14 conv 1×1  24 ch, stride 2
    └── 15 BatchNorm
"""

FOLDED = """\
Stage 2  28×28, 512 ch, transition, 3 blocks  1.22 M params (4.8 %), 1.03 G MACs (25 %)
Transition C  bottleneck ÷4 conv3/2 + conv1/2 skip  into stage 2
└── S  S(x), S = bottleneck ÷4 conv3/2 + conv1/2 skip
    ├──  0 x  256 ch
    └── 12 bottleneck ÷4 conv3/2 + conv1/2 skip  512 ch, stride 2
Block B  bottleneck ÷4 conv3 + skip  stage 2 ×3
└── S  S(x), S = bottleneck ÷4 conv3 + skip
    ├──  0 x  512 ch
    └── 10 bottleneck ÷4 conv3 + skip
"""


def show(*arguments: str):
    return CliRunner().invoke(command, list(arguments))


def table_lines(name: str, columns: int) -> list[str]:
    console = Console(width=columns, file=io.StringIO(), record=True, color_system="truecolor")
    console.print(overview_table(overview(preset(name)), columns))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_the_overview_of_80_columns():
    assert table_lines("coatnet", 80) == COATNET.splitlines()


@pytest.mark.parametrize("columns", [40, 66, 104, 200])
@pytest.mark.parametrize("name", [*PRESETS, *ZOO])
def test_the_overview_fits_any_terminal_and_keeps_its_figures(name, columns):
    lines = table_lines(name, columns)
    assert max(map(len, lines)) <= columns
    view = overview(preset(name))
    for label in ("Stem", *(f"Stage {stage.number}" for stage in view.stages), "Head", "Total"):
        assert any(line.startswith(label) for line in lines)
    assert ("stride" in lines[0], any("100 %" in line for line in lines)) == (columns >= 66, columns >= 104)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("efficientnet_b0", "--stage", "2", "--block", "transition"), TRANSITION), (("resnet50", "--stage", "2"), FOLDED)],
)
def test_a_block_and_a_stage(arguments, expected):
    assert show(*arguments).output == expected


def test_patterns_open_and_shut():
    overall, opened = show("vit").output, show("vit", "--expand").output
    assert "attention 3 heads of 32 + bias | MLP ×4" in overall
    assert "softmax" not in overall
    assert "softmax" in opened
    assert "C/32 maps" in opened
    assert "softmax" in show("vit", "--stage", "1", "--expand").output
    assert "softmax" not in show("vit", "--stage", "1", "--block", "1", "--fold").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stage", "5"), "a stage from 1 to 4, got 5"),
        (("--stage", "1", "--block", "3"), "a block of stage 1 from 1 to 2, got 3"),
        (("--stage", "1", "--block", "transition"), "it has no transition of its own"),
        (("--block", "1"), "--stage"),
    ],
)
def test_what_is_not_there_is_refused(arguments, message):
    result = show("vit", *arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


@pytest.mark.parametrize("block", ["0", "-1", "first", "²"])
def test_a_block_is_a_number_or_the_transition(block):
    result = show("vit", "--stage", "1", "--block", block)
    assert result.exit_code == 2
    assert "expected a block's number from 1 on, or 'transition'" in result.output


def test_show_writes_a_picture_of_a_file(tmp_path):
    source, target = tmp_path / "network.json", tmp_path / "network.svg"
    source.write_text(to_text(preset("resnet")), encoding="utf-8")
    result = CliRunner().invoke(command, [str(source), "--out", str(target)])
    assert result.exit_code == 0
    ElementTree.fromstring(target.read_text(encoding="utf-8"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.json", "network.svg"]


@pytest.mark.parametrize("name", ["network.png", "network", "network.svg.txt"])
def test_show_refuses_other_endings(tmp_path, name):
    result = CliRunner().invoke(command, ["vit", "--out", str(tmp_path / name)])
    assert isinstance(result.exception, InputError)
    assert "ends in .svg" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_show_says_where_it_cannot_write(tmp_path):
    target = tmp_path / "missing" / "network.svg"
    result = CliRunner().invoke(command, ["vit", "--out", str(target)])
    assert isinstance(result.exception, InputError)
    assert str(target) in str(result.exception)


def test_show_imports_neither_torch_nor_ray():
    program = (
        "import sys; from uninas.cli import main\n"
        "try: main(['show', 'coatnet'])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'ray', 'numpy', 'matplotlib', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Stage 4" in done.stdout
