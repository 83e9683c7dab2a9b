"""OpenMMLab's own tools and inferencers, each in a process of its own, as a user calls them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from downstream.train.mm_classes import dataset_meta
from tests.downstream import scenes
from tests.downstream.trainings import ROOT


def check_tools(task: str, folder: Path, data: Path, other: Path) -> int:
    """Run OpenMMLab's tools and inferencer on the exported configuration, from another folder, and count them."""
    package = importlib.import_module({"detect": "mmdet", "segment": "mmseg"}[task])
    tools, config, weights = Path(package.__path__[0]) / ".mim" / "tools", str(folder / "config.py"), str(folder / "model.pth")
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    here = [f"{loader}.dataset.data_root={data}/" for loader in loaders]
    here += [f"{loader}.{key}" for loader in loaders for key in ("num_workers=0", "persistent_workers=False")]
    here += ["train_dataloader.batch_size=2", "train_cfg.max_epochs=1"]
    if task == "detect":
        here += [f"{one}_evaluator.ann_file={data}/annotations/instances_val2017.json" for one in ("val", "test")]
    calls = {
        "misc/print_config.py": [config],
        "analysis_tools/get_flops.py": [config, *(["--num-images", "1"] if task == "detect" else ["--shape", "64", "64"])],
        "analysis_tools/browse_dataset.py": [config, "--output-dir", "browsed", "--not-show"],
        "test.py": [config, weights, "--work-dir", "tested"],
        "train.py": [config, "--work-dir", "trained"],
    }
    code = "import downstream, runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    for tool, words in calls.items():  # downstream repairs a torchvision without operators, whatever a tool imports first
        command = [sys.executable, "-c", code, str(tools / tool), *words, "--cfg-options", *here]
        made = subprocess.run(command, cwd=other, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert made.returncode == 0, f"{tool}: {made.stderr[-2000:]}"
    assert len(list((other / "browsed").rglob("*.jpg"))) >= 6
    trained = torch.load(other / "trained" / "epoch_1.pth", weights_only=False)["meta"]["dataset_meta"]  # of our own making
    expected = json.loads(json.dumps(list(dataset_meta(task, scenes.CLASSES).values())))
    assert json.loads(json.dumps([trained["classes"], trained["palette"]])) == expected
    code = (
        "import downstream, sys\n"
        "from mmdet.apis import DetInferencer\n"
        "from mmseg.apis import MMSegInferencer\n"
        "kind = {'detect': DetInferencer, 'segment': MMSegInferencer}[sys.argv[1]]\n"
        "run = kind(sys.argv[2], sys.argv[3], device='cpu')\n"
        "found = run(sys.argv[4], out_dir='inferred')\n"
        "assert len(found['predictions']), found\n"
        "about = run.visualizer.dataset_meta\n"
        "print(__import__('json').dumps([about['classes'], about['palette']]))\n"
    )
    image = next((data / {"detect": "val2017", "segment": "images/validation"}[task]).glob("*.jpg"))
    command = [sys.executable, "-c", code, task, config, weights, str(image)]
    made = subprocess.run(command, cwd=other, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-2000:]
    assert json.loads(made.stdout.splitlines()[-1]) == expected
    assert "Cityscapes" not in made.stderr
    return len(calls) + 1
