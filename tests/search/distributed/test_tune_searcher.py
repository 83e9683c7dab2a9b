"""The space under Tune: what is suggested when, what is learnt, what a saved searcher goes on with; then a real Tuner."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.search import Searcher

import uninas
from search.algorithms import make
from search.config import loading as configuration
from search.distributed.tune_searcher import ArchitectureSearcher, from_config
from search.ranking.objective import Objective
from tests.search.fakes import ToySpace, toy_scores
from tests.search.finite import FiniteToySpace
from uninas import InputError
from uninas.runtime import ray_local

EVOLUTION: dict[str, Any] = {"algorithm": "evolution", "options": {"population": 8}, "window": 4}
SMALL = """
space: {preset: coatnet, widths: [32, 32, 32, 32], depths: [1, 1, 1, 1], random_edits: 4}
algorithm: evolution
algorithm_options: {population: 4}
evaluations: 8
window: 3
size: 32
classes: 10
budget: {params: 900000}
"""


def score(suggested: dict[str, Any], mode: str = "max") -> float:
    value = toy_scores(json.loads(suggested["architecture"])["digits"], 0)["vkdnw"]
    return -value if mode == "min" else value


def drive(searcher: ArchitectureSearcher, count: int, slots: int, seed: int = 0, mode: str = "max") -> list[str]:
    """Run toy trials, so many at a time, that end in random order; gives the digests in the order of the asks."""
    rng, under_way, digests = random.Random(seed), dict[str, dict[str, Any]](), list[str]()
    while True:
        suggested: Any = None
        if len(digests) < count and len(under_way) < slots:
            trial = f"{rng.random()}"
            suggested = searcher.suggest(trial)
        if isinstance(suggested, dict):
            under_way[trial] = suggested
            digests.append(suggested["digest"])
        elif under_way:
            done = rng.choice(sorted(under_way))
            searcher.on_trial_complete(done, {"score": score(under_way.pop(done), mode), "other": 1})
        else:
            return digests


def test_a_space_that_has_been_seen_whole_ends_the_search() -> None:
    searcher = ArchitectureSearcher(FiniteToySpace(budget=1), metric="score", mode="max", seed=0, **EVOLUTION)
    digests = drive(searcher, count=50, slots=3)
    assert len(set(digests)) == len(digests) == 7
    assert searcher.suggest("one more") == Searcher.FINISHED


@pytest.mark.parametrize("algorithm", [EVOLUTION, {**EVOLUTION, "algorithm": "pareto", "objectives": ["score", "layers"]}])
def test_one_seed_one_sequence_however_many_trials_run(algorithm: dict[str, Any]) -> None:
    """The one of the search itself: the engine asked and told by hand."""
    space = ToySpace()
    by_hand = {key: value for key, value in algorithm.items() if key != "algorithm"}
    engine = make(algorithm["algorithm"], space, Objective("x", (("score",),)), seed=5, **by_hand)
    expected = []
    pending: list[Any] = []
    for _ in range(60):
        while not engine.ready():
            proposal = pending.pop(0)
            engine.tell(proposal.index, {"score": toy_scores(proposal.candidate.body, 0)["vkdnw"]})
        pending.append(engine.ask())
        expected.append(pending[-1].candidate.digest)
    for slots, order in ((1, 0), (4, 1), (9, 2)):
        assert drive(ArchitectureSearcher(space, "score", "max", seed=5, **algorithm), 60, slots, order) == expected
    assert drive(ArchitectureSearcher(space, "score", "min", seed=5, **algorithm), 60, 4, mode="min") == expected
    assert drive(ArchitectureSearcher(space, "score", "min", seed=5, **algorithm), 60, 4) != expected


def test_the_window_and_the_end() -> None:
    searcher = ArchitectureSearcher(ToySpace(), "score", "max", evaluations=3, **{**EVOLUTION, "window": 2})
    first, second = (searcher.suggest(name) for name in ("a", "b"))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["digest"] != second["digest"]
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("b", {"score": 1.0})
    assert searcher.suggest("c") is None  # ask 2 waits for tell 0
    searcher.on_trial_complete("a", None, error=True)
    assert isinstance(searcher.suggest("c"), dict)
    assert searcher.suggest("d") == Searcher.FINISHED
    assert searcher.evaluated == {second["digest"]: 1.0}


def test_a_failure_is_no_score() -> None:
    searcher = ArchitectureSearcher(ToySpace(), "score", "max", **EVOLUTION)
    for number, result in enumerate(({"score": float("nan")}, {"score": float("inf")}, None)):
        searcher.suggest(f"{number}")
        searcher.on_trial_complete(f"{number}", result, error=result is None)
    assert searcher.evaluated == {}
    searcher.suggest("x")
    with pytest.raises(InputError, match="expected the trainable to report 'score'; it reported loss"):
        searcher.on_trial_complete("x", {"loss": 1.0})
    nameless = ArchitectureSearcher(ToySpace(), **EVOLUTION)
    nameless.suggest("x")
    with pytest.raises(InputError, match="expected a metric and a mode"):
        nameless.on_trial_complete("x", {"loss": 1.0})


@pytest.mark.parametrize("order", ["ask", "completion"])
@pytest.mark.parametrize("stop", [0, 1, 7, 30])
def test_a_restored_searcher_goes_on_as_the_other(order: str, stop: int, tmp_path: Path) -> None:
    """With trials under way, whose ids come back."""
    options: dict[str, Any] = {**EVOLUTION, "order": order, "seed": 3}

    def step(searcher: ArchitectureSearcher, number: int, open_: list[tuple[str, dict[str, Any]]]) -> str:
        if len(open_) == 4:
            trial, suggested = open_.pop(number % 2 if order == "completion" else 0)
            searcher.on_trial_complete(trial, {"score": score(suggested)} if number % 5 else None, error=number % 5 == 0)
        made = searcher.suggest(f"trial{number}")
        assert isinstance(made, dict)
        open_.append((f"trial{number}", made))
        return str(made["digest"])

    searcher = ArchitectureSearcher(ToySpace(), "score", "max", **options)
    open_: list[tuple[str, dict[str, Any]]] = []
    for number in range(stop):
        step(searcher, number, open_)
    searcher.save(str(tmp_path / "state"))
    restored = ArchitectureSearcher(ToySpace(), **options)
    restored.restore(str(tmp_path / "state"))
    again = list(open_)
    whole = [step(searcher, number, open_) for number in range(stop, stop + 30)]
    assert [step(restored, number, again) for number in range(stop, stop + 30)] == whole
    assert json.loads((tmp_path / "state").read_text())["format"] == "uninas-tune-searcher"


def test_what_cannot_be_restored_is_refused(tmp_path: Path) -> None:
    searcher = ArchitectureSearcher(ToySpace(), "score", "max", seed=1, **EVOLUTION)
    drive(searcher, 10, 2)
    path = str(tmp_path / "state")
    searcher.save(path)
    with pytest.raises(InputError, match="expected a fresh searcher"):
        searcher.restore(path)
    for other in (
        ArchitectureSearcher(ToySpace(), "score", "max", seed=2, **EVOLUTION),
        ArchitectureSearcher(ToySpace(), "score", "min", seed=1, **EVOLUTION),
        ArchitectureSearcher(ToySpace(), "loss", "max", seed=1, **EVOLUTION),
    ):
        with pytest.raises(InputError, match="expected the searcher that saved it"):
            other.restore(path)
    with pytest.raises(InputError, match="this is not the space or the program"):
        ArchitectureSearcher(ToySpace(salt="other"), "score", "max", seed=1, **EVOLUTION).restore(path)
    Path(path).write_bytes(b"\x80\x04}.")  # a pickle is never read
    with pytest.raises(InputError, match="expected what a searcher saved"):
        ArchitectureSearcher(ToySpace(), "score", "max", seed=1, **EVOLUTION).restore(path)


def test_a_latency_is_nobodys_under_tune() -> None:
    config = configuration.parse(SMALL, ["algorithm=pareto", "objectives=[score, layers]"])
    assert from_config(config, "score", "max")._settings["objectives"] == ["score", "layers"]
    with pytest.raises(InputError, match="objectives: expected no latency_ms under Tune"):
        ArchitectureSearcher(ToySpace(), algorithm="pareto", objectives=["score", "latency_ms"])
    with pytest.raises(InputError, match=r"budget.latency_ms: expected none under Tune, where nobody measures it; got 5"):
        from_config(configuration.parse(SMALL, ["budget.latency_ms=5"]))


def test_what_a_tuner_brings() -> None:
    searcher = ArchitectureSearcher(ToySpace(), **EVOLUTION)
    assert searcher.set_search_properties("top1", "max", {"data": "pictures"})
    assert not searcher.set_search_properties("loss", "max", {})
    with pytest.raises(InputError, match="expected constants beside the architecture, which is what is searched; got lr"):
        searcher.set_search_properties("top1", "max", {"lr": tune.uniform(0, 1)})
    with pytest.raises(InputError, match="expected no 'digest', which the searcher sets"):
        searcher.set_search_properties("top1", "max", {"digest": "x"})
    with pytest.raises(InputError, match="algorithm: expected one of"):
        ArchitectureSearcher(ToySpace(), algorithm="annealing")
    with pytest.raises(InputError, match="mode: expected max or min"):
        ArchitectureSearcher(ToySpace(), "x", "maximum")


TARGET = 100_000


def distance(settings: dict[str, Any]) -> None:
    """A trainable: how far a network's parameters are from a target; two of the networks fail."""
    architecture = uninas.parse(settings["architecture"])
    assert architecture.digest == settings["digest"]
    assert settings["constant"] == 7
    if architecture.digest[0] in "01":
        raise ValueError("this one fails")
    tune.report({"distance": abs(uninas.cost(architecture).params - TARGET)})


@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")  # of Ray's own code, in this process
def test_a_real_tuner(ray_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    searcher = from_config(configuration.parse(SMALL))
    tuner = tune.Tuner(
        distance,
        param_space={"constant": 7},
        tune_config=tune.TuneConfig(
            search_alg=searcher, metric="distance", mode="min", num_samples=50, max_concurrent_trials=3, reuse_actors=True
        ),
        run_config=tune.RunConfig(name="run", storage_path=str(tmp_path), verbose=0),
    )
    with ray_local.quiet_tune():  # gives Ctrl-C back
        results = tuner.fit()
    assert len(results) == 8
    failed = sum(result.error is not None for result in results)
    assert len(searcher.evaluated) == 8 - failed
    best = results.get_best_result()
    assert searcher.evaluated[best.config["digest"]] == best.metrics["distance"] == min(searcher.evaluated.values())
    by_hand = make(
        "evolution",
        from_config(configuration.parse(SMALL))._space,
        Objective("x", (("x",),)),
        seed=0,
        window=3,
        options={"population": 4},
    )
    for _ in range(8):
        proposal = by_hand.ask()
        value = searcher.evaluated.get(proposal.candidate.digest)
        by_hand.tell(proposal.index, {} if value is None else {"x": -value})
        assert proposal.candidate.digest in {result.config["digest"] for result in results}
    restored = from_config(configuration.parse(SMALL))
    restored.restore(str(max((tmp_path / "run").glob("searcher-state-*"))))
    assert restored.evaluated.items() <= searcher.evaluated.items()
