"""`python -m downstream SCRIPT`: scripts of others find the model in timm as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from downstream.__main__ import main
from downstream.export import export
from downstream.subject import subject_of
from downstream.train.classify import train
from tests.downstream import pictures
from tests.downstream.cards import ROOT
from tests.downstream.trainings import settings
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


VALIDATE = """
import argparse
import torch
from timm.data import create_dataset, create_loader, resolve_input_data_config
from timm.models import create_model, resolve_model_input_args
from timm.utils import ParseKwargs

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--model")
parser.add_argument("--pretrained", action="store_true")
parser.add_argument("--checkpoint", default="")
parser.add_argument("--num-classes", type=int)
parser.add_argument("--img-size", type=int)
parser.add_argument("--model-kwargs", nargs="*", default={}, action=ParseKwargs)
args = parser.parse_args()
options = {"num_classes": args.num_classes, "pretrained": args.pretrained, "checkpoint_path": args.checkpoint}
model = create_model(**resolve_model_input_args(args.model, vars(args), **options, **args.model_kwargs)).eval()
config = resolve_input_data_config(model, vars(args), use_test_size=True)
images = create_dataset(name="", root=args.data, split="val")
loader = create_loader(images, batch_size=4, use_prefetcher=False, num_workers=0, device=torch.device("cpu"), **config)
with torch.inference_mode():
    right = sum(int((model(batch).argmax(1) == classes).sum()) for batch, classes in loader)
print(config["input_size"][1:], right, len(images))
"""
"""What timm's validate.py and inference.py do between their arguments and their results."""


@pytest.mark.slow
def test_what_timms_scripts_do_gives_our_own_accuracy(tmp_path: Path) -> None:
    data = pictures.make(tmp_path / "data", train=8, val=4)
    run, best = tmp_path / "run", train(settings(epochs=2, augment=""), data, tmp_path / "run", workers=0).best
    export(subject_of(str(run)), "timm", tmp_path / "out")
    (tmp_path / "validate.py").write_text(VALIDATE)
    count = 4 * len(pictures.CLASSES)
    model = ["--model", "uninas", "--model-kwargs", f"arch={run}"]
    checkpoint = ["--num-classes", "3", "--checkpoint", str(run / "best.safetensors")]
    for options in (
        [*model, "--pretrained"],
        [*model, *checkpoint],
        ["--model", f"local-dir:{tmp_path / 'out'}", "--pretrained"],
    ):
        command = [sys.executable, "-W", "ignore", "-m", "downstream", "validate.py", str(data), *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)
        assert done.stdout.strip() == f"(32, 32) {round(best * count / 100)} {count}", done.stderr


@pytest.mark.parametrize(("arguments", "message"), [([], "got nothing"), (["none.py"], "got none.py, which is not a file")])
def test_what_is_no_script(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"expected .*{message}"):
        main(arguments)
