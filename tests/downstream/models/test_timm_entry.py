"""`import downstream` registers the model in timm, whichever of the two is imported first, and does not import timm itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
REPAIRED = "from uninas.runtime.torchvision_repair import repair; repair(); "
"""What timm needs of a torchvision that was built for another torch, where timm is imported first."""


def run(code: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-W", "ignore:`torch.jit:DeprecationWarning", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "imports",
    [
        REPAIRED + "import timm; import downstream",
        "import downstream.models.backbone; import timm",
    ],
)
def test_it_is_known_in_either_order(imports: str) -> None:
    made = "print(type(timm.create_model('uninas', arch='resnet', num_classes=3)).__name__)"
    assert run(f"{imports}; {made}; print(timm.list_models('uninas'))") == ["UniNASNet", "['uninas']"]


def test_the_import_alone_imports_neither_timm_nor_torch() -> None:
    heavy = "[name for name in ('torch', 'timm', 'torchvision') if name in sys.modules]"
    assert run(f"import downstream, sys; print({heavy}, 'UniNASNet' in dir(downstream))") == ["[]", "True"]
