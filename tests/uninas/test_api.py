"""The package's front door: names that come when they are used, types, pictures, and reprs of one line."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import uninas
from tests.search.conftest import ROOT
from tests.uninas.examples import around, graph_of
from uninas import IDENTITY, Architecture, Block, Graph, InputError, Node, Stage, op
from uninas.commands.show import command as show
from uninas.text import from_document

NET = uninas.preset("coatnet", widths=[32, 64, 96, 128], depths=[1, 1, 1, 1], stem=[8, 16], classes=10, input_size=(32, 32))


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_imports_next_to_nothing() -> None:
    heavy = "('torch', 'ray', 'rich', 'click', 'numpy', 'uninas.graph', 'uninas.networks')"
    assert fresh(f"import sys, uninas; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_nothing_but_build_imports_torch() -> None:
    lines = [
        "import sys, uninas",
        "net = uninas.load('resnet')",
        "uninas.cost(net), uninas.draw(net), repr(net)",
        "[getattr(uninas, name) for name in dir(uninas) if name != 'build']",
        "print('torch' in sys.modules)",
    ]
    assert fresh("\n".join(lines)) == "False"


def test_what_is_typed_is_what_is_there() -> None:
    tree = ast.parse(Path(uninas.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    submodules = {name for name, module in seen.items() if module == "uninas"}
    assert sorted(set(seen) - submodules) == sorted(uninas.__all__)
    for name in uninas.__all__:
        assert getattr(uninas, name) is getattr(importlib.import_module(str(seen[name])), name)
    assert set(uninas.__all__) | submodules <= set(dir(uninas))
    assert (Path(uninas.__file__).parent / "py.typed").exists()


def test_every_name_that_completion_lists_can_be_had() -> None:
    for name in dir(uninas):
        getattr(uninas, name)
    with pytest.raises(AttributeError, match="no attribute 'coast'"):
        uninas.coast  # type: ignore[attr-defined]  # noqa: B018


# --- pictures ---------------------------------------------------------------------------------------------------------------


def test_a_drawing_is_returned_and_written(tmp_path: Path) -> None:
    text = uninas.draw(NET, tmp_path / "net.svg")
    assert text.startswith("<svg ")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8") == text
    assert len({text, uninas.draw(NET, stage=1), uninas.draw(NET, stage=3, block=1), uninas.draw(NET, fold=True)}) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda folder: uninas.draw(NET, folder / "net.png"), r"ends in \.svg"),
        (lambda folder: uninas.draw(NET, block=1), "expected a stage with block 1, got none"),
        (lambda folder: uninas.draw(NET, stage=5), "expected a stage from 1 to 4"),
        (lambda folder: uninas.draw(NET, folder / "none" / "net.svg"), "cannot write"),
    ],
)
def test_a_drawing_that_cannot_be_had_says_so(call: Callable[[Path], str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        call(tmp_path)


def test_a_notebook_shows_the_picture() -> None:
    assert NET._repr_svg_() == uninas.draw(NET)


# --- one line ---------------------------------------------------------------------------------------------------------------


def test_the_repr_of_a_network_is_one_line() -> None:
    assert repr(NET) == f"Architecture(4 stages, 4 blocks, 452k parameters at 32x32, digest {NET.digest[:12]})"


def chain(nodes: int) -> Graph:
    first = uninas.IDENTITY.nodes
    return Graph((*first, *[Node(op("gelu"), (i,)) for i in range(nodes)]), nodes)


@pytest.mark.parametrize(
    "value",
    [
        around(chain(3_000)),
        Architecture((Stage(64, (Block((chain(900), IDENTITY)),) * 1000),)),
        Architecture((Stage(64, (Block((chain(9_000),) * 16, residual=False),), IDENTITY),), stem=chain(20), head=chain(20)),
        Node(op("add"), tuple(range(100_000))),
        chain(20_000),
    ],
    ids=["deep", "many", "wide", "node", "graph"],
)
def test_the_repr_of_a_huge_thing_stays_short(value: object) -> None:
    shown = [repr(value)]
    if isinstance(value, Architecture):
        shown += [repr(value.stages[0]), repr(value.stages[0].blocks[0])]
        assert value._repr_svg_() is None
    assert all(len(text) < 900 and "\n" not in text for text in shown), shown


def test_the_repr_of_a_broken_network_says_what_is_wrong() -> None:
    broken = around(graph_of("%1 = conv(kernel=3, ratio=1/7) %0", "return %1"))
    assert repr(broken).startswith("Architecture(")
    assert "ill typed: conv(kernel=3, ratio=1/7)" in repr(broken)
    assert broken._repr_svg_() is None


def test_a_repr_changes_nothing_of_equality() -> None:
    same = uninas.parse(uninas.to_text(NET))
    repr(same)
    assert (same, hash(same)) == (NET, hash(NET))


# --- documents --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [None, {}, {"b": (1, 2), "a": {"score": None}}], ids=["without", "empty", "some"])
@pytest.mark.parametrize("name", ["coatnet", "deit_small_patch16_224", "resnet50"])
def test_the_document_is_what_the_text_says(name: str, metadata: dict[str, object] | None) -> None:
    architecture = uninas.preset(name).replace(rounding="down")
    document, text = uninas.to_document(architecture, metadata), uninas.to_text(architecture, metadata)
    assert json.dumps(document) == json.dumps(json.loads(text))  # keys stand in the same order
    assert from_document(document, "document") == architecture


def test_the_package_knows_its_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", uninas.__version__)


# --- former names -----------------------------------------------------------------------------------------------------------


def test_a_stage_still_knows_its_transition_as_its_entry() -> None:
    down = graph_of("%1 = max_pool(stride=2) %0", "return %1")
    made = Stage(8, (), down, tokens=1)
    with pytest.warns(DeprecationWarning, match="`entry` is now its `transition`"):
        assert made.entry is down
    with pytest.warns(DeprecationWarning, match="`entry` is now its `transition`") as caught:
        assert Stage(8, (), entry=down, tokens=1) == made
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="transition"):
        assert replace(made, entry=None) == Stage(8, (), tokens=1)
    with pytest.raises(TypeError):
        Stage(8, (), enter=down)


def test_a_cost_still_knows_its_trainable_parameters_as_live_ones() -> None:
    figures = uninas.cost(NET)
    with pytest.warns(DeprecationWarning, match="`live_params` of a cost is now `trainable_params`"):
        assert figures.live_params == figures.trainable_params == figures.as_dict()["live_params"]


def test_a_block_option_of_before_still_works(capsys: pytest.CaptureFixture[str]) -> None:
    for word, warning in (("entry", "warning: --block entry is now --block transition\n"), ("transition", "")):
        show.main(["resnet50", "--stage", "2", "--block", word], standalone_mode=False)
        out, err = capsys.readouterr()
        assert "Transition C" in out
        assert err == warning
