"""Several processes that train one classifier: one curve, one writer, one word of what cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from downstream.train.run_folder import alone
from downstream.train.settings import read_settings
from tests.downstream import pictures
from tests.downstream.trainings import rows_of, settings, torchrun
from tests.uninas.examples import tiny
from uninas.text import to_text

KILLED_RANK = """
import os, signal, sys
from downstream.commands import progress
from downstream.train.result import Watch
from uninas import cli

class Fatal(Watch):
    def step(self, epoch, epochs, step, steps, loss):
        if (epoch, step) == (1, 1) and os.environ["RANK"] == "0":
            os.killpg(os.getpgid(0), signal.SIGKILL)

progress.progress = lambda *shown: __import__("contextlib").nullcontext(Fatal())
cli.main(sys.argv[1:])
"""


TRAIN = ("-m", "uninas.cli", "train")


def reported(logs: Path) -> dict[str, str]:
    """What each process has said on stderr, by its rank."""
    return {path.parent.name: path.read_text() for path in logs.glob("*/attempt_0/*/stderr.log")}


@pytest.mark.slow
def test_what_the_first_process_rejects_is_said_once(data: Path, tmp_path: Path) -> None:
    """A folder that is there, or that another training holds."""
    path = tmp_path / "net.json"
    path.write_text(to_text(tiny("ET", (32, 32))))
    place = ("--data", str(data), "--workers", "0", "--device", "cpu")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").touch()
    done = torchrun(*TRAIN, path, *place, "--batch", "4", "--size", "32", "--out", str(tmp_path / "run"), logs=tmp_path / "there")
    assert done.returncode
    said = reported(tmp_path / "there")
    assert said.keys() == {"0", "1"}
    assert re.fullmatch(r"uninas: .*/run: expected a new folder; it exists: .*\n", said["0"])
    assert said["1"] == ""
    (tmp_path / "run" / "notes.txt").unlink()
    settings(processes=2, epochs=1, batch=4).write(tmp_path / "run")
    with alone(tmp_path / "run"):
        done = torchrun(*TRAIN, "--resume", str(tmp_path / "run"), *place, logs=tmp_path / "held")
    assert done.returncode
    said = reported(tmp_path / "held")
    assert re.fullmatch(r"uninas: .*/run: expected to be the only training of this run; .*\n", said["0"])
    assert said["1"] == ""


@pytest.mark.slow
def test_two_processes_under_torchrun(tmp_path: Path) -> None:
    """One curve of both, averaged weights included, broken or not; each image counts once, each unreadable one too."""
    data = pictures.make(tmp_path / "data")
    for number in range(4):
        (data / "train" / "red" / f"{number:02}.png").write_bytes(b"no image")
    path = tmp_path / "net.json"
    path.write_text(to_text(tiny("ET", (32, 32))))
    place = ("--data", str(data), "--workers", "0", "--device", "cpu")
    asked = (str(path), *place, "--epochs", "3", "--batch", "4", "--size", "32", "--lr", "0.002", "--ema", "0.8")
    done = torchrun(*TRAIN, *asked, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert read_settings(tmp_path / "run").processes == 2
    assert len(rows_of(tmp_path / "run")) == 3
    assert done.stdout.count("best top-1") == 1
    assert "4 images could not be read" in done.stdout
    shares = [float(row["top1"]) * 24 / 100 for row in rows_of(tmp_path / "run")]  # each image counts once
    assert shares == pytest.approx([round(share) for share in shares], abs=1e-3)

    script = tmp_path / "killed.py"
    script.write_text(KILLED_RANK)
    killed = torchrun(script, "train", *asked, "--out", tmp_path / "broken")
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr
    assert len(rows_of(tmp_path / "broken")) == 1
    resumed = torchrun(*TRAIN, "--resume", str(tmp_path / "broken"), *place)
    assert resumed.returncode == 0, resumed.stderr
    assert rows_of(tmp_path / "broken") == rows_of(tmp_path / "run")
