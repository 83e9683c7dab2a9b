"""Networks of the reference toolkit: its weights in our module give its logits, its counts are our counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.uninas.networks import graphs_of
from tests.uninas.running import distance, executed_macs
from tests.uninas.test_cost import trained
from uninas import Architecture, canonicalise, cost, load, parse, to_text
from uninas.compile import Network, build
from uninas.reference import import_reference

NAMES = ("ref_conv", "ref_attention")


@pytest.fixture(scope="module")
def folder(data_folder: Path) -> Path:
    """Where the two networks are; the test run says so when it has no data."""
    found = data_folder / "uninas_reference"
    assert found.is_dir()
    return found


def read(folder: Path, name: str) -> tuple[Architecture, dict[str, str], dict[str, np.ndarray[Any, Any]]]:
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    architecture, names = import_reference(document, name)
    with np.load(folder / f"{name}.npz") as archive:
        return architecture, names, {key: archive[key] for key in archive.files}


def foreign_name(ours: str, searched: dict[str, str]) -> str:
    """The reference's name of one of our parameters or buffers."""
    layer, _, leaf = ours.rpartition(".")
    if layer in searched:
        return f"{searched[layer]}.{'relative_position_bias_table' if leaf == 'table' else leaf}"
    layer = layer.replace("stem.norm", "stem.norm1")
    layer = layer.replace(".norm1.project", ".norm1.down.expand").replace(".shortcut.project", ".shortcut.expand")
    return f"{'head.fc' if layer == 'head' else layer}.{leaf}"


def load_weights(module: Network, searched: dict[str, str], archive: dict[str, np.ndarray[Any, Any]]) -> set[str]:
    """Fill the module with the reference's weights; returns the names that were used."""
    state = module.state_dict()
    used = set()
    for ours in state:
        if ours.endswith("num_batches_tracked"):
            continue  # a counter that the archive leaves out
        theirs = f"w/{foreign_name(ours, searched)}"
        value = torch.from_numpy(archive[theirs])
        state[ours] = value.reshape(state[ours].shape)
        used.add(theirs)
    module.load_state_dict(state)
    return used


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_exact(name: str, folder: Path) -> None:
    architecture, _, _ = read(folder, name)
    expected = next(e for e in json.loads((folder / "costs.json").read_text(encoding="utf-8")) if e["tag"] == name)
    figures = cost(architecture)
    assert (figures.params, figures.macs) == (expected["params"], expected["macs"])
    assert sum(p.numel() for p in build(architecture).parameters()) == expected["params"]
    for fused in (True, False):
        assert executed_macs(build(architecture, fused=fused), architecture.input_size) == expected["macs"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fused", [True, False])
def test_logits_are_the_references(name: str, fused: bool, folder: Path) -> None:
    architecture, searched, archive = read(folder, name)
    module = build(architecture, fused=fused).eval()
    load_weights(module, searched, archive)
    with torch.no_grad():
        logits = module(torch.from_numpy(archive[input_key(archive)]))
    expected = torch.from_numpy(archive[logits_key(archive)])
    assert logits.shape == expected.shape
    assert float((logits - expected).abs().max()) < 1e-4
    assert distance(logits, expected) < 1e-4
    assert float(expected.std()) > 1e-3, "logits that differ from one another"


def input_key(archive: dict[str, Any]) -> str:
    (key,) = [key for key in archive if not key.startswith("w/") and archive[key].ndim == 4]
    return key


def logits_key(archive: dict[str, Any]) -> str:
    (key,) = [key for key in archive if not key.startswith("w/") and archive[key].ndim == 2]
    return key


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_the_reference_has_its_place(name: str, folder: Path) -> None:
    architecture, searched, archive = read(folder, name)
    used = load_weights(build(architecture), searched, archive)
    unused = {key for key in archive if key.startswith("w/")} - used
    assert all("relative_position_index" in key or key.endswith("mask") for key in unused), unused


@pytest.mark.parametrize("name", NAMES)
def test_live_params_are_those_that_learn(name: str, folder: Path) -> None:
    architecture, _, _ = read(folder, name)
    assert cost(architecture).live_params == trained(architecture)
    assert cost(canonicalise(architecture)).live_params == cost(architecture).live_params


@pytest.mark.parametrize("name", NAMES)
def test_stored_and_canonical_form_are_one_network(name: str, folder: Path) -> None:
    architecture, _, _ = read(folder, name)
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
