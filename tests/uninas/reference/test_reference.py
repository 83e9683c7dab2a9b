"""Networks of the reference toolkit: its counts are our counts (weights and logits: test_reference_weights.py of downstream)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.uninas.analysis.test_trainable import trained
from tests.uninas.examples import graphs_of
from tests.uninas.running import executed_macs
from uninas import Architecture, canonicalise, cost, load, parse, to_text
from uninas.compile.module import build

NAMES = ("ref_conv", "ref_attention")


@pytest.fixture(scope="module")
def folder(data_folder: Path) -> Path:
    """Where the two networks are; the test run says so when it has no data."""
    found = data_folder / "uninas_reference"
    assert found.is_dir()
    return found


def read(folder: Path, name: str) -> Architecture:
    return load(folder / f"{name}.json")


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_exact(name: str, folder: Path) -> None:
    architecture = read(folder, name)
    expected = next(e for e in json.loads((folder / "costs.json").read_text(encoding="utf-8")) if e["tag"] == name)
    figures = cost(architecture)
    assert (figures.params, figures.macs) == (expected["params"], expected["macs"])
    assert sum(p.numel() for p in build(architecture).parameters()) == expected["params"]
    for fused in (True, False):
        assert executed_macs(build(architecture, fused=fused), architecture.input_size) == expected["macs"]


@pytest.mark.parametrize("name", NAMES)
def test_trainable_params_are_those_that_learn(name: str, folder: Path) -> None:
    architecture = read(folder, name)
    assert cost(architecture).trainable_params == trained(architecture)
    assert cost(canonicalise(architecture)).trainable_params == cost(architecture).trainable_params


@pytest.mark.parametrize("name", NAMES)
def test_stored_and_canonical_form_are_one_network(name: str, folder: Path) -> None:
    architecture = read(folder, name)
    canonical = canonicalise(architecture)
    assert cost(canonical).params <= cost(architecture).params
    assert canonicalise(canonical) is canonical
    assert parse(to_text(architecture)) == architecture
    assert parse(to_text(architecture)).digest == canonical.digest
    assert len(graphs_of(canonical)) <= len(graphs_of(architecture))


def test_the_stored_shapes_are_ignored(folder: Path, tmp_path: Path) -> None:
    """They are wrong after a round trip of the reference itself."""
    document = json.loads((folder / "ref_attention.json").read_text(encoding="utf-8"))

    def spoil(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: [7, 7, 7] if key == "shape" else spoil(value) for key, value in node.items()}
        return [spoil(value) for value in node] if isinstance(node, list) else node

    spoilt = {**document, "model_str": json.dumps(spoil(json.loads(document["model_str"])))}
    (tmp_path / "net.json").write_text(json.dumps(spoilt), encoding="utf-8")
    assert spoilt["model_str"] != document["model_str"]
    assert load(tmp_path / "net.json") == load(folder / "ref_attention.json")
