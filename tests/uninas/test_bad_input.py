"""`uninas cost` and `uninas show` on whatever a user may hand them: exit status 2 and one helpful line, never a traceback."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.uninas.examples import around, graph_of, small
from tests.uninas.test_text import ILL_TYPED, WRONG, damaged, document
from uninas import PRESETS, Cost, cost, load, parse, preset, to_text
from uninas.cli import main

ROOT = Path(__file__).parents[2]


def printed(figures: Cost) -> dict[str, int]:
    """What `--json` prints of a cost: trainable parameters by their name, and by the one they had in version 0.1."""
    return {**figures.as_dict(), "trainable_params": figures.trainable_params}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the program in this process: (exit status, stdout, stderr). Anything but SystemExit is a traceback, and fails."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        printed = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, printed.out, printed.err

    return call


def refused(result: tuple[int, str, str]) -> str:
    """The one line on stderr of a refusal."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert err.startswith("uninas: ")
    assert "Traceback" not in err
    assert len(err) < 700
    return err


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "blank": (b" \n\t\n", "empty"),
    "binary": (bytes(range(256)) * 20, "text file"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(300), "text file"),
    "zeros": (bytes(1000), "JSON"),
    "YAML": (b"seed: 1\nspace: uninas\n", "JSON"),
    "a list": (b"[1, 2]", "object"),
    "an empty mapping": (b"{}", "model_str"),
    "nested 200,000 deep": (deep(200_000).encode(), "nested"),
    "a key nested 200,000 deep": (f'{{"format": {deep(200_000)}}}'.encode(), "nested"),
    "objects nested 200,000 deep": (b'{"a":' * 200_000, "nested"),
    "model_str nested 200,000 deep": (
        json.dumps(
            {
                "img_size": 32,
                "num_classes": 1,
                "embed_dim": [8],
                "stem_width": [8, 8],
                "model_str": deep(200_000),
            }
        ).encode(),
        "nested",
    ),
    "nodes nested 200,000 deep": (
        json.dumps(
            {
                "img_size": 32,
                "num_classes": 1,
                "embed_dim": [8],
                "stem_width": [8, 8],
                "model_str": '[[{"subblock1": ' + '{"class":"SequentialModule","params":{"modules":[' * 200_000,
            }
        ).encode(),
        "nested",
    ),
    "huge numbers": (json.dumps(document()).replace('"classes": 3', '"classes": 1' + "0" * 40).encode(), "digits"),
    "an endless number": (json.dumps(document()).replace('"classes": 3', '"classes": ' + "9" * 100_000).encode(), "digits"),
    "an infinite number": (json.dumps(document()).replace('"classes": 3', '"classes": 1e999').encode(), "classes"),
    "not a number": (json.dumps(document()).replace('"classes": 3', '"classes": NaN').encode(), "finite"),
    "UTF-16": (json.dumps(document()).encode("utf-16"), "text file"),
    "half a character": (json.dumps(document(), ensure_ascii=False).encode() + b"\xc3", "text file"),
    "lone surrogates": (json.dumps(document(format="\ud800")).encode(), "format"),
    "line breaks in names": (json.dumps(document(format="a\nb\rc\u2028d")).encode(), "format"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_architecture(case: str, run: Any, tmp_path: Path) -> None:
    content, said = FILES[case]
    path = tmp_path / "net.json"
    path.write_bytes(content)
    assert said in refused(run("cost", str(path)))


@pytest.mark.parametrize("case", WRONG)
def test_files_with_wrong_content(case: str, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(WRONG[case][0]), encoding="utf-8")
    message = refused(run("cost", str(path)))
    assert "net.json" in message
    assert WRONG[case][1] in message


@pytest.mark.parametrize("case", ILL_TYPED)
def test_ill_typed_files_name_stage_block_and_node(case: str, run: Any, tmp_path: Path) -> None:
    lines, node = ILL_TYPED[case]
    path = tmp_path / "net.json"
    content = document(graphs={"g1": lines}, stages=[{"width": 32, "blocks": [["g1", "absent"]]}])
    path.write_text(json.dumps(content), encoding="utf-8")
    assert f"stage 1, block 1, sub-block 1, node {node}: " in refused(run("cost", str(path)))


def test_paths_that_are_no_files(run: Any, tmp_path: Path) -> None:
    assert "no such file" in refused(run("cost", str(tmp_path / "missing.json")))
    assert "coatnet" in refused(run("cost", "coatnett")), "the presets are named"
    assert "expected a run's folder with a best.json" in refused(run("cost", str(tmp_path)))
    assert "cannot be read" in refused(run("cost", "x" * 5000))
    assert "cannot be read" in refused(run("cost", "net\x00.json"))
    assert "no such file" in refused(run("cost", str(tmp_path / "a\nb" / ("x" * 200))))
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "gone.json")
    assert "no such file" in refused(run("cost", str(link)))
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    assert "cannot be read" in refused(run("cost", str(loop)))
    assert refused(run("cost", ""))


def test_a_file_too_large_is_refused_before_it_is_read_whole(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    with path.open("wb") as stream:
        stream.truncate(3 << 30)  # sparse: 3 GB of zeros that no test machine should hold in memory
    assert "at most" in refused(run("cost", str(path)))


@pytest.mark.parametrize("source", ["preset", "small", "reference"])
def test_truncated_at_any_place(source: str, run: Any, tmp_path: Path) -> None:
    if source == "reference":
        text = json.dumps(REFERENCE)
    else:
        text = to_text(preset("coatnet") if source == "preset" else small(), {"note": "x"})
    content = text.rstrip().encode()
    path = tmp_path / "net.json"
    for offset in [*range(40), *range(40, len(content), max(1, len(content) // 150)), len(content) - 1]:
        path.write_bytes(content[:offset])
        assert "net.json" in refused(run("cost", str(path)))


REFERENCE = {
    "img_size": 32,
    "num_classes": 10,
    "drop_rate": 0.0,
    "embed_dim": [32, 32],
    "depths": [1, 2],
    "stem_width": [8, 16],
    "model_str": json.dumps(
        [
            ["E"],
            [
                "T",
                {
                    "subblock1": {
                        "class": "SequentialModule",
                        "shape": [1],
                        "params": {
                            "modules": [
                                {"class": "Conv3", "shape": [], "params": {}},
                                {"class": "GELU", "shape": [], "params": {}},
                            ]
                        },
                    },
                    "subblock2": {"class": "Zero", "shape": [], "params": {}},
                },
            ],
        ]
    ),
}

WRONG_REFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "other depths": ({"depths": [1, 3]}, 'expected as many blocks as in "depths", [1, 3], got'),
    "no stages": ({"model_str": "[]"}, "stages"),
    "model_str that is a list": ({"model_str": []}, "model_str"),
    "model_str that is no JSON": ({"model_str": "[["}, "JSON"),
    "more in model_str than stages": ({"model_str": '[["E"],["T"]], "x": 1'}, "JSON"),
    "an unknown letter": ({"model_str": '[["E"],["Q"]]'}, "Q"),
    "an unknown class": ({"model_str": '[["E"],[{"subblock1": {"class": "Conv9"}, "subblock2": {"class": "Zero"}}]]'}, "Conv9"),
    "a block without sub-blocks": ({"model_str": '[["E"],[{}]]'}, "subblock1"),
    "a node that is a number": ({"model_str": '[["E"],[{"subblock1": 3, "subblock2": {"class": "Zero"}}]]'}, "class"),
    "a class that is a list": ({"model_str": '[["E"],[{"subblock1": {"class": []}, "subblock2": {"class": "Zero"}}]]'}, "class"),
    "an empty stage": ({"model_str": '[["E"],[]]'}, "stage 2"),
    "a width missing": ({"embed_dim": [32]}, "embed_dim"),
    "a width of zero": ({"embed_dim": [32, 0]}, "embed_dim"),
    "a width that is a text": ({"embed_dim": ["32", 32]}, "embed_dim"),
    "a width that heads do not divide": ({"embed_dim": [32, 48]}, "stage 2, block 1"),
    "no size": ({"img_size": None}, "img_size"),
    "a size that is a pair": ({"img_size": [32, 32]}, "img_size"),
    "no classes": ({"num_classes": 0}, "num_classes"),
    "a stem of one": ({"stem_width": [8]}, "stem"),
    "an endless stage": ({"model_str": json.dumps([["E"], ["T"] * 100_000])}, "blocks"),
}


@pytest.mark.parametrize("case", WRONG_REFERENCES)
def test_wrong_reference_files(case: str, run: Any, tmp_path: Path) -> None:
    changes, said = WRONG_REFERENCES[case]
    path = tmp_path / "net.json"
    path.write_text(json.dumps({**REFERENCE, **changes}), encoding="utf-8")
    message = refused(run("cost", str(path)))
    assert "net.json" in message
    assert said in message


def test_compounds_with_wrong_params(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    leaf = {"class": "GELU"}
    broken: list[tuple[str, Any]] = [
        ("SequentialModule", None),
        ("SequentialModule", {"modules": 3}),
        ("ExpandAndReduce", {}),
        ("ExpandAndReduce", {"factor": 0, "sequential": leaf}),
        ("ExpandAndReduce", {"factor": True, "sequential": leaf}),
        ("ReduceAndExpand", {"factor": 4}),
        ("ReduceAndExpand", {"factor": 7, "sequential": leaf}),
        ("AvgAndUpsample", {}),
        ("ForkMerge", {"branches": [leaf]}),
        ("ForkMerge", {"branches": [], "fork_merge_tuple": ["copy", "add"]}),
        ("ForkMerge", {"branches": [leaf], "fork_merge_tuple": ["copy", "multiply"]}),
        ("ForkMerge", {"branches": [leaf] * 7, "fork_merge_tuple": ["chunk", "concat"]}),
        ("ForkMerge", {"branches": [leaf], "fork_merge_tuple": ["copy", "glue"]}),
        ("ForkMerge", {"branches": [leaf], "fork_merge_tuple": ["copy", "add"], "branches_count": 2}),
        ("ForkMergeAttention", {"branches": [leaf] * 3, "connections": [], "post_branches": []}),
        ("ForkMergeAttention", {"branches": [leaf] * 3, "connections": [leaf], "post_branches": [leaf, leaf]}),
    ]
    for kind, params in broken:
        block = {"subblock1": {"class": kind, "params": params}, "subblock2": {"class": "Zero"}}
        content = {**REFERENCE, "depths": [1, 1], "model_str": json.dumps([["E"], [block]])}
        path.write_text(json.dumps(content), encoding="utf-8")
        assert "stage 2, block 1" in refused(run("cost", str(path))), (kind, params)


def test_damaged_references_are_refused_or_are_networks(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    rng = random.Random(17)
    accepted = 0
    for _ in range(1500):
        content = dict(REFERENCE)
        if rng.random() < 0.7:
            content["model_str"] = damaged(str(content["model_str"]), rng)
            text = json.dumps(content)
        else:
            text = damaged(json.dumps(content), rng)
        path.write_text(text, encoding="utf-8")
        status, out, err = run("cost", str(path), "--json")
        if status == 0:
            accepted += 1
            assert json.loads(out)["params"] > 0
        else:
            refused((status, out, err))
    assert 10 < accepted < 1400


def test_damaged_files_are_refused_or_are_networks(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    rng = random.Random(18)
    sources = [to_text(preset("coatnet")), json.dumps(document())]
    statuses = set()
    for _ in range(500):
        path.write_text(damaged(rng.choice(sources), rng), encoding="utf-8")
        result = run("cost", str(path), "--json")
        statuses.add(result[0])
        if result[0]:
            refused(result)
        else:
            assert set(json.loads(result[1])) == set(printed(cost(small())))
    assert statuses == {0, 2}


# --- options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", ["", "0", "0x5", "5x0", "-3", "224x", "x224", "2x2x2", "1e3", "999999", "99999", "٣", "224 x 224"]
)
def test_sizes_that_are_none(size: str, run: Any) -> None:
    assert "expected" in refused(run("cost", "resnet", "--size", size))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["cost"], "ARCH"),
        (["cost", "resnet", "--classes", "-1"], "-1"),
        (["cost", "resnet", "--classes", "many"], "many"),
        (["cost", "resnet", "--colour"], "--colour"),
        (["cost", "resnet", "vit"], "vit"),
        (["costs", "resnet"], "costs"),
        (["--colour"], "--colour"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(arguments: list[str], named: str, run: Any) -> None:
    assert named in refused(run(*arguments))


def test_json_is_one_object_and_nothing_else(run: Any, tmp_path: Path) -> None:
    for name in PRESETS:
        status, out, err = run("cost", name, "--json")
        assert (status, err) == (0, "")
        assert out.count("\n") == 1
        assert json.loads(out) == printed(cost(preset(name)))
    path = tmp_path / "net.json"
    path.write_text(to_text(around(graph_of("%1 = softmax %0", "return %1"), size=(4, 4))), encoding="utf-8")
    status, out, _ = run("cost", str(path), "--size", "33x65", "--classes", "0", "--json")
    assert status == 0
    assert json.loads(out) == printed(cost(load(path), (33, 65), 0))
    status, out, _ = run("cost", str(path), "--json")
    assert json.loads(out)["attention_tokens"] == 0


def test_cost_for_people_prints_the_figures_and_warnings(run: Any, tmp_path: Path) -> None:
    status, out, err = run("cost", "coatnet")
    assert status == 0
    assert err == ""
    assert "26,871,124" in out
    assert "4,213,122,048" in out
    assert "8.43 G" in out, "2 x MACs, as papers print it"
    path = tmp_path / "net.json"
    path.write_text(to_text(around(graph_of("%1 = softmax %0", "return %1"), size=(4, 4))), encoding="utf-8")
    status, out, err = run("cost", str(path))
    assert status == 0
    assert err == "warning: stage 1, block 1, sub-block 1, %1 softmax: softmax over one entry is constant\n"


def test_without_arguments_the_program_explains_itself(run: Any) -> None:
    status, out, err = run("--help")
    assert status == 0
    assert "cost" in out
    assert "search" in out
    assert err == ""


# --- in a process of its own ------------------------------------------------------------------------------------------------


def program(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "uninas.cli", *arguments], env=environment, capture_output=True, text=True, **options
    )


def test_the_real_program_exits_as_promised(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text('{"format": ' + deep(200_000), encoding="utf-8")
    made = program("cost", str(tmp_path / "net.json"))
    refused((made.returncode, made.stdout, made.stderr))
    made = program("cost", "resnet", "--json")
    assert made.returncode == 0
    assert json.loads(made.stdout)["params"] == 24_817_416


_IMPORTED = """
import sys
from uninas.cli import main
try:
    main({arguments})
except SystemExit as left:
    assert not left.code, left.code
heavy = [name for name in ("torch", "ray", "numpy", "omegaconf", "timm", "matplotlib") if name in sys.modules]
assert not heavy, heavy
"""


LIGHT = [["--help"], ["cost", "--help"], ["cost", "coatnet"], ["show", "coatnet"], ["show", "--help"]]


@pytest.mark.parametrize("arguments", LIGHT, ids=str)
def test_light_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    source = _IMPORTED.format(arguments=arguments)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run([sys.executable, "-c", source], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout


def test_the_space_itself_imports_nothing_heavy() -> None:
    source = (
        "import sys, uninas\n"
        "edit = uninas.mutate(uninas.preset('coatnet'), __import__('random').Random(0))\n"
        "heavy = [n for n in ('torch', 'numpy', 'ray', 'click') if n in sys.modules]\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_parse_accepts_what_it_printed() -> None:
    """The fixtures above are damaged copies of texts that are fine before the damage."""
    assert parse(json.dumps(document())).classes == 3
