"""The remedy for a torchvision without its operators, in processes of their own: imports cannot be undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

FAKE = """
import torch
torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets.new_empty(0, dtype=torch.long))
HALF = False
"""


def run(code: str, *path: Path) -> str:
    setup = f"import sys; sys.path[:0] = {[str(folder) for folder in (*path, ROOT)]!r}\n"
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_timm_imports_and_a_second_call_does_nothing() -> None:
    code = """
from uninas.runtime.torchvision_repair import repair
repair()
print(repair())
import timm
print(timm.list_models("resnet18"))"""
    assert run(code) == "False\n['resnet18']"


def test_missing_operators_are_declared(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(FAKE)
    code = "from uninas.runtime.torchvision_repair import repair; "
    code += "print(repair(), repair()); import torchvision; print(torchvision.HALF)"
    assert run(code, tmp_path) == "True False\nFalse"


def test_a_healthy_one_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("")
    code = """
from uninas.runtime.torchvision_repair import repair
import torch, torchvision
print(repair(), sys.modules["torchvision"] is torchvision, hasattr(torch.ops.torchvision, "qnms"))"""
    assert run(code, tmp_path) == "False True False"


def test_other_errors_pass_through(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('libcudart is missing')")
    code = """
from uninas.runtime.torchvision_repair import repair
try:
    repair()
except RuntimeError as error:
    print(error)"""
    assert run(code, tmp_path) == "libcudart is missing"


def test_absent_is_nothing_to_repair() -> None:
    code = """
sys.modules["torchvision"] = None
from uninas.runtime.torchvision_repair import repair
print(repair())"""
    assert run(code) == "False"
