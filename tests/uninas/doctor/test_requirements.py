"""Requirements are read from the project's own metadata, in the checkout and where it is installed."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from uninas.doctor import requirements
from uninas.doctor.requirements import fits


@pytest.mark.parametrize(
    ("version", "bounds", "good"),
    [
        ("2.7", ">=2.7", True),
        ("2.6.9", ">=2.7", False),
        ("2.13.0+cpu", "<2.14", True),
        ("2.14.0", "<2.14", False),
        ("2.14.0rc1", "<2.14", False),
        ("3.11.7", "<3.14,>=3.11", True),
        ("3.14.0", "<3.14,>=3.11", False),
        ("0.1.5.post20221221", ">=0.1.5.post20221221", True),
        ("anything", "", True),
    ],
)
def test_bounds_compare_the_numbers_of_a_release(version: str, bounds: str, good: bool) -> None:
    assert fits(version, bounds) is good


def test_names_extras_and_bounds_are_told_apart() -> None:
    base = {one.module: one for one in requirements.of()}
    assert {"torch", "ray", "sklearn", "PIL", "yaml", "timm"} <= base.keys()
    assert base["ray"].text.startswith("ray[default,tune]>=")
    assert base["ray"].names == ("ray",)
    assert base["ray"].bounds.startswith(">=")
    assert {one.module for one in requirements.of("mm")} >= {"mmengine", "mmcv", "mmdet", "mmseg", "torch"}
    assert {one.module for one in requirements.of("onnx")} == {"onnx", "onnxscript", "onnxruntime"}
    assert requirements.of("nothing") == []


def test_an_installation_states_what_the_checkout_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        importlib.metadata.distribution("uninas-ray")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("run from a checkout that is not installed")
    here = [[one.text.replace(" ", "") for one in requirements.of(extra)] for extra in ("", "mm", "onnx")]
    python = sorted(requirements.pythons().split(","))
    monkeypatch.setattr(requirements, "_CHECKOUT", tmp_path)
    assert [[one.text.replace(" ", "") for one in requirements.of(extra)] for extra in ("", "mm", "onnx")] == here
    assert sorted(requirements.pythons().split(",")) == python
