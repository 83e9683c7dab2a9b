"""`python -m downstream SCRIPT`: scripts of others find the model in timm as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from downstream.__main__ import main
from tests.downstream.cards import ROOT
from uninas import InputError

SCRIPT = """
import argparse, sys
import beside  # a file in the script's folder
import timm

parser = argparse.ArgumentParser()
parser.add_argument("--model")
model = timm.create_model(parser.parse_args().model, arch="resnet", num_classes=3, device="meta")
if __name__ == "__main__":
    print(sys.argv[0], beside.NUMBER, type(model).__name__)
"""


def test_a_script_runs_as_by_python_itself(tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "make.py").write_text(SCRIPT)
    (folder / "beside.py").write_text("NUMBER = 7")
    command = [sys.executable, "-W", "ignore", "-m", "downstream", "scripts/make.py", "--model", "uninas"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert done.stdout.split() == ["scripts/make.py", "7", "UniNASNet"], done.stderr


@pytest.mark.parametrize(("arguments", "message"), [([], "got nothing"), (["none.py"], "got none.py, which is not a file")])
def test_what_is_no_script(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"expected .*{message}"):
        main(arguments)
