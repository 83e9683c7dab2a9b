"""What an exported file computes is what the compiled network computes, to the last bit, where there is nothing but torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from downstream.weights import weight_files
from tests.amounts import slow
from tests.downstream.export.source.exported import drawn, folder_of, published
from tests.uninas.examples import small, tiny
from tests.uninas.running import noise
from uninas import Architecture, build
from uninas.networks.presets import PRESETS
from uninas.networks.zoo import ZOO

ALONE = Path(__file__).parent / "alone.py"


def differing(networks: dict[str, Architecture], folder: Path) -> list[str]:
    """The networks whose logits differ in a single bit, at their own size and at another."""
    shapes = {}
    for number, (name, architecture) in enumerate(networks.items()):
        folder_of(architecture, folder / name)
        height, width = architecture.input_size
        shapes[name] = (2, architecture.in_channels, *((height, width) if number % 2 == 0 else (height + 9, width + 4)))
        torch.save(shapes[name], folder / name / "shape.pt")
    done = subprocess.run(
        [sys.executable, str(ALONE), *[str(folder / name) for name in networks]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = []
    for name, architecture in networks.items():
        network = build(architecture)
        network.load_state_dict(weight_files.read_tensors(folder / name / "weights.safetensors"))
        network.eval()
        got = torch.load(folder / name / "got.pt", weights_only=True)
        for kind in (torch.float32, torch.float64):
            with torch.no_grad():
                expected = network.to(kind)(noise(*shapes[name], dtype=kind))
            assert expected.isfinite().all()
            if not torch.equal(got[str(kind)], expected):
                found.append(f"{name} in {kind}")
    return found


def test_small_networks(tmp_path: Path) -> None:
    networks = {"coatnet": small("coatnet"), "vit": small("vit"), "tiny": tiny("RET"), **{f"d{i}": drawn(i) for i in range(4)}}
    assert differing(networks, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PRESETS, *ZOO])
def test_published_networks(name: str, tmp_path: Path) -> None:
    assert differing({name: published(name)}, tmp_path) == []


@pytest.mark.parametrize("first", [slow(number) for number in range(0, 50, 10)])
def test_networks_of_the_universal_space(first: int, tmp_path: Path) -> None:
    assert differing({f"d{number}": drawn(number) for number in range(first, first + 10)}, tmp_path) == []
