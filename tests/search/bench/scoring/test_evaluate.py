"""The worker's part on real networks: tiny batches, cheap proxies, every kind of setup."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pandas
import pytest

import proxies
import uninas.compile
from search.bench.benchmarks import nasbench201
from search.bench.scoring import evaluate
from search.bench.scoring.job import Job, Request, Setup
from search.bench.scoring.plan import chosen_proxies
from search.bench.scoring.settings import Settings
from search.workers import pictures
from search.workers.job import Outcome
from tests.search.bench.fakes import cells
from tests.search.workers.test_pictures import paint
from uninas.errors import InputError
from uninas.spaces import nasbench201 as space

CELL = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|"
STANDARD = Setup(batch=4)


def job(requests: dict[str, Request], setups: dict[str, Setup] | None = None, **changes: Any) -> Job:
    return dataclasses.replace(Job(3, CELL, "nasbench201", 10, (3, 8, 8), setups or {"standard": STANDARD}, requests), **changes)


def run(work: Job) -> Outcome:
    return evaluate.evaluate(Job.from_dict(json.loads(json.dumps(work.as_dict()))))


def test_the_scores_are_those_of_the_proxies() -> None:
    names = ("flops", "aleph", "vkdnw", "jacov")
    outcome = run(job({name: Request(name) for name in names}))
    network = uninas.compile.build(space.architecture(CELL, input_size=(8, 8)))
    assert dict(outcome.scores) == proxies.score(network, names, input_shape=(3, 8, 8), batch=4)
    assert outcome.status == "ok"
    deciles = outcome.details["vkdnw"]["deciles"]
    assert len(deciles) == 9
    assert deciles == sorted(deciles)
    assert set(outcome.seconds) == {"build", "score", *names}


def test_counts_are_those_of_a_network_and_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("params", "flops", "aleph")
    wanted = {name: Request(name) for name in names} | {
        "thin": Request("params", setup="thin"),
        "other": Request("flops", setup="thin"),
    }
    setups = {
        "standard": Setup(batch=2, repeats=2, network={"cells": 1}),
        "thin": Setup(batch=2, input_shape=(1, 9, 7), network={"channels": 3, "cells": 1}),
    }
    for cell in cells(4):
        built = run(job({**wanted, "naswot": Request("naswot")}, setups, network=cell))
        with monkeypatch.context() as patched:
            patched.setattr(uninas.compile, "build", None)
            found = run(job(wanted, setups, network=cell))
        assert dict(found.scores) == {label: built.scores[label] for label in wanted}
        assert set(found.seconds) == {"build", "score", *wanted}
        assert found.details == {label: {"repeats": [found.scores[label]] * 2} for label in names}
    assert run(job(wanted, setups, network="|none~0|")).status == "failed"


def test_labels_are_variants() -> None:
    """One proxy under two labels, with other options; another seed in another setup."""
    setups = {"standard": STANDARD, "again": Setup(batch=4, seed=1)}
    requests = {
        "plain": Request("vkdnw"),
        "smooth": Request("vkdnw", {"smoothing": 0.5}),
        "again": Request("vkdnw", setup="again"),
        "fewer": Request("vkdnw", samples=2),
    }
    scores = run(job(requests, setups)).scores
    assert list(scores) == list(requests)
    assert len(set(scores.values())) == 4
    assert run(job({"other name": Request("vkdnw")})).scores == {"other name": scores["plain"]}


def test_repeats_are_averaged_and_kept() -> None:
    outcome = run(job({"jacov": Request("jacov")}, {"standard": Setup(batch=4, repeats=3)}))
    repeats = outcome.details["jacov"]["repeats"]
    assert len(set(repeats)) == 3
    assert outcome.scores["jacov"] == pytest.approx(math.fsum(repeats) / 3)


def test_linear_regions_are_counted_on_the_thin_network() -> None:
    settings = Settings("nasbench201", "cifar10", "reachable", "", chosen_proxies("flops,linear_regions"), batch=4)
    networks = pandas.DataFrame({"index": [3], "network": [CELL], "accuracy": [90.0]})
    plan = nasbench201.plan_for(settings, networks)
    outcome = run(plan.job(plan.networks[0], plan.requests))
    thin = uninas.compile.build(space.architecture(CELL, channels=1, cells=1, in_channels=1, input_size=(3, 3)))
    expected = proxies.score(thin, ["linear_regions"], input_shape=(1, 3, 3), batch=1000)
    assert outcome.scores["linear_regions"] == expected["linear_regions"]
    wide = uninas.compile.build(space.architecture(CELL, input_size=(32, 32)))
    assert outcome.scores["flops"] == proxies.score(wide, ["flops"], input_shape=(3, 32, 32), batch=1)["flops"]


def test_pictures_reach_the_proxies_that_take_them(tmp_path: Path) -> None:
    batch, _ = pictures.draw_batch(
        paint(tmp_path), count=8, classes=10, size=(8, 8), seed=0, statistics=pictures.STATISTICS["cifar10"]
    )
    requests = {"grad_norm": Request("grad_norm"), "vkdnw": Request("vkdnw"), "real": Request("vkdnw", real=True)}
    noise = run(job(requests)).scores
    real = run(job(requests, {"standard": Setup(batch=4, pictures=batch)})).scores
    assert real["grad_norm"] != noise["grad_norm"]
    assert real["vkdnw"] == noise["vkdnw"]
    assert real["real"] != noise["real"]


def test_a_network_that_cannot_be_scored_says_why() -> None:
    dead = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    outcome = run(job({"jacov": Request("jacov"), "flops": Request("flops")}, network=dead))
    assert isinstance(outcome.scores["jacov"], dict)
    assert isinstance(outcome.scores["flops"], float)
    nonsense = run(job({"flops": Request("flops")}, network="|nonsense~0|"))
    assert nonsense.status == "failed"
    assert nonsense.reason is not None
    assert nonsense.reason.startswith("InputError: NAS-Bench-201 cell")


def test_every_proxy_scores_a_cell() -> None:
    """All that a bench asks for when nobody names any, on one network, small."""
    names = chosen_proxies(None)
    requests = {name: Request(name) for name in names if name != "linear_regions"}
    outcome = run(job(requests, {"standard": Setup(batch=4, network={"channels": 4, "cells": 1})}, network=cells(1)[0]))
    failed = {name: score for name, score in outcome.scores.items() if not isinstance(score, float)}
    assert failed == {}


def test_names_of_proxies() -> None:
    assert "vkdnw_single" not in chosen_proxies(None)
    assert chosen_proxies("vkdnw_single") == ("vkdnw_single",)
    assert chosen_proxies("az_nas, flops") == ("expressivity", "progressivity", "trainability", "flops")
    with pytest.raises(InputError, match="got 'synflaw', nearest is 'synflow'"):
        chosen_proxies("synflaw")
    with pytest.raises(InputError, match="got none"):
        chosen_proxies(" , ")
