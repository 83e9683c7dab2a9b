"""What only a GPU can show: how its steps are run, what its page says; and every step on the CPU at toy size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu.actors import difference
from benchmarks.gpu.page import page
from benchmarks.gpu.running import GRACE, ROOT, run, why
from benchmarks.gpu.scores import ROUNDING, agree, apart, unequal
from benchmarks.gpu.steps import AIMS, STEPS, Step, append, read
from proxies import ProxyFailure

NAMES = [step.name for step in STEPS]


def fake(name: str, share: float = 10, least: float = 0) -> Step:
    return Step(name, f"tests.benchmarks.gpu_steps:{name}", "nothing", share, least)


def ran(folder: Path, *steps: Step, seconds: float = 60) -> dict[str, list[dict[str, Any]]]:
    """Run steps as on a CPU; the lines of the results by step."""
    file = folder / "new" / "gpu.jsonl"
    run(steps, file, device="cpu", toy=True, seconds=seconds)
    begin, *lines = read(file)
    assert (begin["kind"], begin["device"], begin["toy"]) == ("begin", "cpu", True)
    return {step.name: [line for line in lines if line["step"] == step.name] for step in steps}


def test_a_step_that_fails_dies_or_hangs_does_not_stop_the_others(tmp_path: Path) -> None:
    found = ran(tmp_path, fake("raises", 20), fake("dies", 20), fake("hangs", 0.3), fake("works", 20))
    before, end = found["raises"]
    assert (before["what"], before["ok"], end["status"]) == ("before", True, "error")
    assert end["said"].splitlines()[-1] == "ValueError: this step cannot"
    assert "gpu_steps.py" in end["said"], "with its traceback"
    (end,) = found["dies"]
    assert (end["status"], end["said"].splitlines()[-1]) == ("error", "ended by SIGKILL")
    (end,) = found["hangs"]
    assert end["status"] == "out of time"
    row, end = found["works"]
    assert (row["ok"], row["device"], row["toy"], end["status"], end["said"]) == (True, "cpu", True, "done", "")
    assert row["ratio"] == "inf", "what JSON has no number for is a word"


def test_a_part_that_fails_is_a_finding_and_the_step_goes_on(tmp_path: Path) -> None:
    first, second, end = ran(tmp_path, fake("has_a_faulty_part"))["has_a_faulty_part"]
    assert (first["what"], first["ok"], first["error"]) == (
        "the first",
        False,
        "RuntimeError: CUDA error: an illegal memory access",
    )
    assert "Traceback" in first["said"]
    assert (second["ok"], end["status"]) == (True, "done")


def test_what_no_longer_fits_is_left_out_and_what_is_left_goes_to_later_steps(tmp_path: Path) -> None:
    told: list[str] = []
    steps = [fake("raises", least=1000), fake("dies", 1, least=1000), fake("works", 20)]
    run(steps, tmp_path / "gpu.jsonl", device="cpu", toy=True, seconds=60, note=told.append)
    ends = [line for line in read(tmp_path / "gpu.jsonl") if line["kind"] == "end"]
    assert [(one["status"], one["said"]) for one in ends] == [("left out", "no time")] * 2 + [("done", "")]
    (limit,) = [text for text in told if "at most" in text]
    assert int(limit.split()[-2]) > 40, "the whole time, but for a margin"


def test_in_eight_minutes_there_is_time_for_every_step() -> None:
    """Also where each takes all that it may."""
    seconds = 60 * command.MINUTES - GRACE
    for place, step in enumerate(STEPS):
        limit = seconds * step.share / sum(later.share for later in STEPS[place:])
        assert limit >= step.least, step.name
        seconds -= limit + 2 * GRACE  # to be killed


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "gpu.jsonl"
    append(file, {"kind": "begin"})
    with file.open("a") as stream:
        stream.write('{"kind": "ro')
    assert read(file) == [{"kind": "begin"}]


def test_of_a_step_out_of_time_it_says_where_it_stood() -> None:
    stacks = f"""Timeout (0:01:00)!
Thread 0x00007f0000000000 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait
Thread 0x00007f0000000001 (most recent call first):
  File "/usr/lib/torch/cuda/__init__.py", line 1234 in synchronize
  File "{ROOT}/benchmarks/gpu/hanging.py", line 35 in evaluate
  File "{ROOT}/benchmarks/gpu/running.py", line 130 in main
"""
    assert why(stacks) == 'File "benchmarks/gpu/hanging.py", line 35 in evaluate'
    assert why('Thread 0x1 (most recent call first):\n  File "/usr/lib/x.py", line 1 in f') == 'File "/usr/lib/x.py", line 1 in f'
    assert why("Traceback ...\n  File x\nValueError: no\n\n") == "ValueError: no"
    assert why("") == ""


# --- what is compared -------------------------------------------------------------------------------------------------------


def test_scores_of_two_devices_agree_within_the_tolerance() -> None:
    assert agree(1.0, 1.0, 1.0 + 9e-7, 1.0 - 9e-3)
    assert not agree(1.0, 1.0, 1.0 + 2e-6, 1.0), "float64 is summed in another order at the most"
    assert not agree(1.0, 1.0, 1.0, 1.02), "float32"
    assert agree(1.0, 1.05, 1.0, 1.05 * (1 + 0.9 * ROUNDING * 0.04)), "but where float32 itself is as rough"
    failure, other = ProxyFailure("too_few_weights", "on the CPU"), ProxyFailure("raised", "CUDA error")
    assert agree(failure, failure, ProxyFailure("too_few_weights", "on the GPU"), failure)
    assert not agree(failure, failure, other, failure)
    assert not agree(1.0, 1.0, other, 1.0)
    assert apart(0.0, 0.0) == 0.0
    assert apart(-1.0, 1.0) == 2.0


def test_every_bit_of_a_score_counts() -> None:
    one = {"vkdnw": 0.1 + 0.2, "zen": "raised: no"}
    assert unequal([one, dict(one), dict(one)]) == {}
    assert unequal([one, one, {**one, "vkdnw": 0.3}]) == {"vkdnw": [0.1 + 0.2, 0.1 + 0.2, 0.3]}


def test_two_journals_differ_where_their_records_do() -> None:
    record = {"kind": "candidate", "index": 0, "scores": {"vkdnw": 1.0}}
    assert difference([record], [dict(record)]) is None
    assert difference([record], []) == "1 records and 0"
    found = difference([record, record], [record, {**record, "scores": {"vkdnw": 2.0}}])
    assert found == "record 1, scores: {'vkdnw': 1.0} and {'vkdnw': 2.0}"


# --- the page ---------------------------------------------------------------------------------------------------------------


def results(device: str) -> list[dict[str, Any]]:
    """The lines of a run in which one step held, one did not, one failed, one was stopped, and the others are missing."""
    toy = device == "cpu"
    begin = {"kind": "begin", "device": device, "toy": toy, "seconds": 480.0, "command": "python -m benchmarks.gpu"}
    row: dict[str, Any] = {"kind": "row", "ok": True}
    median = {"config": "uninas_30m", "seconds": 0.875, "spread": [0.75, 1.25], "stages": {"ask": 0.125, "score": 0.5}}
    cost = {"cost": {"params": 29_500_000}}
    kernel = {"name": "a|kernel", "seconds": 0.25, "calls": 7}
    return [
        {**begin, "python": "3.11", "processor": "a processor"},
        {**row, "step": "machine", "what": "device", "ok": None, "name": "some GPU", "gibibytes": 79.1, "driver": "1.2"},
        {**row, "step": "scores", "what": "a", "proxy": "zen", "float64": 1e-9, "float32": 2e-5, "cpu_rounding": 1e-5},
        {
            **row,
            "step": "scores",
            "what": "b",
            "proxy": "zen",
            "float64": "inf",
            "float32": 1e-5,
            "cpu_rounding": 0.0,
            "ok": False,
        },
        {"kind": "end", "step": "scores", "status": "done", "seconds": 61.2, "said": ""},
        {**row, "step": "candidate", "what": "uninas_30m, candidate 1", "seconds": 0.875, "peak_bytes": 2**30, **cost},
        {**row, "step": "candidate", "what": "uninas_30m, median", "ok": False, **median},
        {"kind": "end", "step": "candidate", "status": "done", "seconds": 70.0, "said": ""},
        {**row, "step": "determinism", "what": "vit", "differ": {}},
        {"kind": "end", "step": "determinism", "status": "done", "seconds": 30.0, "said": ""},
        {"kind": "end", "step": "deadline", "status": "error", "seconds": 3.0, "said": "Traceback\nInputError: Ray has 0 GPUs"},
        {**row, "step": "actors", "what": "actors: 1", "rate": 3.5},
        {"kind": "end", "step": "actors", "status": "out of time", "seconds": 85.0, "said": "Timeout"},
        {"kind": "end", "step": "latency", "status": "left out", "seconds": 0.0, "said": "no time"},
        {
            **row,
            "step": "profile",
            "what": "on the device",
            "ok": None,
            "seconds": 1.0,
            "busy": 0.5,
            "calls": 9,
            "largest": [kernel],
        },
        {"kind": "end", "step": "profile", "status": "done", "seconds": 20.0, "said": ""},
    ]


def cells(text: str, first: str) -> list[str]:
    """The cells of the first row of a table that begins with this one."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_of_a_gpu_has_the_aims_beside_what_was_measured() -> None:
    text = page(results("cuda:0"))
    assert "Not run on a GPU" not in text
    assert "On one some GPU (79.1 GiB, driver 1.2)" in text
    name = "`configs/search/uninas_30m.yaml`"
    assert cells(text, name)[1:] == [AIMS["uninas_30m"].others, "0.36", "0.875", "0.75 to 1.25", "0.125", "-", "0.5", "-"]
    assert cells(text, "uninas_30m, candidate 1") == ["uninas_30m, candidate 1", "29.5", "0.875", "1", "yes", "-"]
    assert cells(text, "`configs/search/mobilenetv2.yaml`")[2:4] == ["0.1", "not measured yet"]
    verdicts = {step: cells(text, step)[-2:] for step in NAMES}
    assert verdicts == {
        "machine": ["not run", "-"],
        "scores": ["**no**: 1 of 2", "61"],
        "candidate": ["**no**: 1 of 2", "70"],
        "determinism": ["yes: 1 of 1", "30"],
        "deadline": ["**error**; till then nothing was claimed", "3"],
        "memory": ["not run", "-"],
        "actors": ["**out of time**; till then 1 of 1", "85"],
        "training": ["not run", "-"],
        "latency": ["left out: no time", "0"],
        "profile": ["done", "20"],
    }
    assert cells(text, "zen") == ["zen", "inf", "2e-05", "1e-05", "**no**"], "the worst of its networks"
    assert cells(text, "`a/kernel`") == ["`a/kernel`", "0.25", "7"]
    assert "- deadline, error: InputError: Ray has 0 GPUs" in text
    assert text.endswith("    python -m benchmarks.gpu")


def test_the_page_of_a_cpu_has_no_figure_of_a_gpu() -> None:
    text = page(results("cpu"))
    assert "**Not run on a GPU yet.**" in text
    assert cells(text, "`configs/search/uninas_30m.yaml`")[2:] == ["0.36", "not measured yet", "-", "-", "-", "-", "-"]
    assert cells(text, "determinism")[-2:] == ["not measured yet", "yes: 1 of 1"]
    assert "0.875" not in text
    assert "some GPU" not in text
    assert "- deadline, error: InputError: Ray has 0 GPUs" in text


def test_the_page_is_written_from_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gpu.jsonl"
    for line in results("cuda:0"):
        append(file, line)
    assert command.main(["--from", str(file), "--write"], folder=tmp_path) == 1, "something did not hold"
    written = (tmp_path / "gpu.md").read_text()
    assert written == page(results("cuda:0")) + "\n" == capsys.readouterr().out
    assert str(tmp_path) not in written
    assert command.main(["--from", str(tmp_path / "none.jsonl")]) == 2
    assert "expected the results of a run" in capsys.readouterr().err
    assert command.main(["--device", "cuda:99", "--out", str(tmp_path / "new.jsonl")]) == 2
    assert not (tmp_path / "new.jsonl").exists()


# --- the steps --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_every_step_runs_on_a_cpu(step: Step, tmp_path: Path) -> None:
    *rows, end = ran(tmp_path, step, seconds=500)[step.name]
    assert (end["status"], end["said"]) == ("done", "")
    assert [row for row in rows if row["ok"] is False] == []
    assert rows
    text = page(read(tmp_path / "new" / "gpu.jsonl"))
    assert cells(text, step.name)[-1].partition(":")[0] in ("yes", "done")
