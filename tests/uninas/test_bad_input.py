"""`uninas cost` and `uninas show` on whatever a user may hand them: exit status 2 and one helpful line, never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.uninas.examples import small
from tests.uninas.test_text import ILL_TYPED, WRONG, document
from tests.uninas.test_text_limits import damaged
from uninas import Cost, cost, preset, to_text


def printed(figures: Cost) -> dict[str, int]:
    """What `--json` prints of a cost: trainable parameters by their name, and by the one they had in version 0.1."""
    return {**figures.as_dict(), "trainable_params": figures.trainable_params}


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
    "a key twice": (b'{"format": "uninas", "classes": 10, "classes": 1000}', "the key 'classes' is given twice"),
    "a key twice within": (b'{"stages": [{"width": 1, "width": 2}]}', "the key 'width' is given twice"),
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
