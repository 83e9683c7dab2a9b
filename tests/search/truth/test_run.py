"""A whole ground truth at a small size: its table, resumed after a kill, extended, with one worker and with two."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
from click.testing import CliRunner

from search.commands.truth import command
from search.monitor.progress import PlainView
from search.monitor.runs import below
from search.truth import results, run
from search.truth.settings import load
from tests.search.training.conftest import make_images
from tests.waiting import wait_for_lines
from uninas import InputError

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """
networks: 4
repeated: 3
families: [gate, convolution]
presets: [resnet]
size: 32
budget: {params: 400_000, macs: 3_000_000, layers: 40}
fill: 0.2
random_edits: 2
images: {pixels: 16}
recipe: {epochs: 1, batch: 12, rate: 3e-3}
pool: {kind: serial}
"""
DECISIVE = ["architecture", "accuracy", "seed", "family", "drawn", "params", "macs", "layers", "loss", "digest"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images") / "colours")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def whole(images: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    made(folder, images, config)
    return folder


def made(folder: Path, images: Path, config: Path, *overrides: str) -> dict[str, Any]:
    return run.begin(load(config, overrides), images, folder, view=PlainView(print))


def table(folder: Path) -> list[dict[str, Any]]:
    """What is the same however it came about: not the seconds."""
    rows: list[dict[str, Any]] = pandas.read_csv(folder / "accuracy.csv")[DECISIVE].to_dict("records")
    return rows


def test_the_table_has_every_training(whole: Path) -> None:
    rows = table(whole)
    names = [(row["architecture"], row["seed"]) for row in rows]
    assert names == [
        ("networks/resnet.json", 0),
        ("networks/resnet.json", 1),
        ("networks/gate-01.json", 0),
        ("networks/gate-01.json", 1),
        ("networks/convolution-01.json", 0),
        ("networks/convolution-01.json", 1),
        ("networks/gate-02.json", 0),
        ("networks/gate-02.json", 1),
        ("networks/convolution-02.json", 0),
    ]
    assert all((whole / row["architecture"]).is_file() and 0 <= row["accuracy"] <= 100 for row in rows)
    assert {row["family"] for row in rows} == {"gate", "convolution"}
    assert json.loads((whole / "run.json").read_text())["status"] == "complete"


def test_the_list_of_runs_tells_it(whole: Path) -> None:
    (row,) = below(whole)
    best = max(family["best"] for family in json.loads((whole / "truth.json").read_text())["families"].values())
    assert (row.kind, row.state, row.done, row.total, row.unit, row.best) == (
        "truth",
        "complete",
        9,
        9,
        "trainings",
        {"top1": best},
    )


def test_the_bench_reads_it(whole: Path, tmp_path: Path) -> None:
    from search.bench.benchmarks.own_table import Columns, read_table

    found = read_table(whole / "accuracy.csv", Columns(family="family"))
    assert len(found.networks) == 5
    assert found.classes == 3
    assert set(found.networks["height"]) == {32}
    means = pandas.read_csv(whole / "accuracy.csv").groupby("architecture")["accuracy"].mean()
    assert all(row["accuracy"] == means[row["network"]] for row in found.networks.to_dict("records"))


def test_the_noise_is_what_the_table_says(whole: Path) -> None:
    found = json.loads((whole / "truth.json").read_text())
    rows = pandas.read_csv(whole / "accuracy.csv")
    rows = rows[rows["drawn"] == "yes"]
    pairs = [group["accuracy"].tolist() for _, group in rows.groupby("architecture", sort=False) if len(group) == 2]
    assert found["noise"]["networks"] == len(pairs) == 3
    assert found["noise"]["between_networks"] == pytest.approx(statistics.stdev(map(statistics.fmean, pairs)), abs=1e-3)
    within = statistics.fmean(statistics.variance(pair) for pair in pairs) ** 0.5
    assert found["noise"]["between_seeds"] == pytest.approx(within, abs=1e-3)
    assert found["trainings"] == 9
    assert found["families"]["presets"]["networks"] == 1
    assert found["families"]["gate"]["networks"] == 2


def test_a_resume_of_what_is_complete_trains_nothing(whole: Path) -> None:
    before = (whole / "journal.jsonl").read_bytes()
    run.resume(whole, view=PlainView(print))
    assert (whole / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("trained", [0, 1, 4])
def test_killed_and_resumed_it_is_the_same_table(trained: int, whole: Path, images: Path, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from search.monitor.progress import PlainView;"
        "from search.truth import run, settings;"
        "run.begin(settings.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), view=PlainView(print))"
    )
    words = [sys.executable, "-c", code, str(config), str(images), str(folder)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as process:
        wait_for_lines(process, folder / ("accuracy.csv" if trained else "journal.jsonl"), 1 + trained)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    if trained:
        assert 0 < len(table(folder)) < 9  # what is there can be used
    run.resume(folder, view=PlainView(print))
    assert table(folder) == table(whole)


def test_more_networks_and_seeds_leave_what_is_there(whole: Path, images: Path, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made(folder, images, config, "networks=2", "repeated=0", "seeds=1")
    assert len(table(folder)) == 3
    begun = (folder / "journal.jsonl").read_bytes()
    run.resume(folder, ["networks=4", "repeated=3", "seeds=2"], view=PlainView(print))
    assert (folder / "journal.jsonl").read_bytes().startswith(begun)
    assert table(folder) == table(whole)


@pytest.mark.slow
def test_two_workers_of_ray_make_the_same_table(whole: Path, images: Path, config: Path, tmp_path: Path) -> None:
    made(tmp_path / "run", images, config, "pool.kind=ray", "pool.workers=2")
    assert table(tmp_path / "run") == table(whole)


def test_what_a_resume_refuses(whole: Path, images: Path, config: Path, tmp_path: Path) -> None:
    def refused(*overrides: str, **how: Any) -> str:
        with pytest.raises(InputError) as raised:
            run.resume(whole, overrides, view=PlainView(print), **how)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "expected at most networks=N, repeated=N, seeds=N and keys of pool" in refused("recipe.epochs=2")
    assert "networks: expected at least the run's 4; got 3" in refused("networks=3")
    other = make_images(tmp_path / "other", train=13)
    assert "expected the images that the run began with; they are others" in refused(data=other)
    with pytest.raises(InputError, match=r"expected the run folder of a ground truth with a config\.yaml; there is none"):
        run.resume(tmp_path, view=PlainView(print))
    with pytest.raises(InputError, match="expected a new run folder; it exists: continue with --resume"):
        made(whole, images, config)


def test_another_network_in_the_place_of_one_is_noticed(images: Path, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made(folder, images, config, "networks=1", "repeated=0", "seeds=1")
    (folder / "networks" / "gate-01.json").write_bytes((folder / "networks" / "resnet.json").read_bytes())
    with pytest.raises(InputError, match=r"expected the network .* of networks\.csv; got"):
        run.resume(folder, ["repeated=1", "seeds=2"], view=PlainView(print))


def test_images_that_moved(whole: Path, images: Path, tmp_path: Path) -> None:
    moved = make_images(tmp_path / "moved")
    run.resume(whole, view=PlainView(print), data=moved)
    with pytest.raises(InputError, match="expected a folder train or training"):
        run.resume(whole, view=PlainView(print), data=tmp_path / "none")


def test_two_seeds_that_agree_rank_and_two_that_do_not_do_not(whole: Path) -> None:
    networks = [network for network in run._read_networks(whole) if network.drawn]
    record = next(iter(read_trainings(whole).values()))

    def trained(first: list[float], second: list[float]) -> dict[str, Any] | None:
        import dataclasses

        found = {}
        for network, *pair in zip(networks, first, second, strict=False):
            for seed, top1 in enumerate(pair):
                found[network.name, seed] = dataclasses.replace(record, network=network.name, seed=seed, top1=top1)
        return results.noise(networks, found)

    alike = trained([10, 20, 30, 40], [11, 21, 31, 41])
    assert alike is not None
    assert alike["kendall"]["value"] == 1.0
    assert alike["between_seeds"] == pytest.approx(0.5**0.5)
    assert alike["ratio"] == pytest.approx(statistics.stdev([10, 20, 30, 40]) / 0.5**0.5)
    assert alike["ranks"] is True
    other = trained([10, 20, 30, 40], [40, 10, 30, 20])
    assert other is not None
    assert other["ranks"] is False
    assert trained([10, 20], [11, 21]) is None


def read_trainings(folder: Path) -> dict[tuple[str, int], Any]:
    from search.journal import journal as journals
    from search.truth.records import KINDS, Training

    records = journals.records(folder / "journal.jsonl", KINDS)
    return {(one.network, one.seed): one for one in records if isinstance(one, Training)}


def test_the_command(images: Path, config: Path, tmp_path: Path) -> None:
    runner, folder = CliRunner(), tmp_path / "run"
    words = [str(config), "networks=3", "--data", str(images), "--out", str(folder)]
    found = runner.invoke(command, words, catch_exceptions=False)
    assert found.exit_code == 0
    assert "presets" in found.output
    assert "two seeds of 3 networks: Kendall's tau" in found.output
    assert str(folder / "accuracy.csv") in found.output
    again = runner.invoke(command, ["--resume", str(folder)], catch_exceptions=False)
    assert again.exit_code == 0
    for words, said in (
        ([str(config)], "expected the configuration of a ground truth, such as cifar10, and --data FOLDER"),
        (["--resume", str(folder), "--out", "there"], "--out: expected no other folder with --resume"),
        ([str(config), "--data", str(images), "--accept-changes"], "--accept-changes: expected only with --resume"),
    ):
        refused = runner.invoke(command, words)
        assert isinstance(refused.exception, InputError)
        assert said in str(refused.exception)
