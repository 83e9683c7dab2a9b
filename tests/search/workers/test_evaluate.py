"""Real scoring of real networks in this process."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import proxies
import uninas
from search.config.validation import PRECISIONS
from search.workers import evaluate
from search.workers.job import Cause, Job, Outcome, Timing, numbers, outcome_of
from uninas.shapes import IllTyped

NAMES = ("aleph", "vkdnw", "jacov", "expressivity", "trainability", "flops")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def job(**changes: Any) -> Job:
    architecture = uninas.canonicalise(
        uninas.preset("coatnet", widths=[16, 32, 32, 64], depths=[1, 1, 1, 1], classes=10, input_size=(64, 64))
    )
    plain = Job(architecture.digest, uninas.to_text(architecture), (64, 64), 10, 2, 1, 0, NAMES)
    return dataclasses.replace(plain, **changes)


def test_scores_agree_with_exact_costs_and_depend_on_the_job_alone() -> None:
    environment = evaluate.prepare()
    assert environment["threads"] == "1"
    assert environment["device"].startswith("cpu: ")
    first = evaluate.evaluate(job())
    assert first.status == "ok"
    assert set(first.seconds) == {"build", "score"}
    cost = uninas.cost(uninas.parse(job().architecture), (64, 64))
    assert (first.scores["aleph"], first.scores["flops"]) == (cost.layers, cost.macs)
    torch.manual_seed(99)
    again = evaluate.evaluate(Job.from_dict(job().as_dict()))
    assert again.scores == first.scores
    assert evaluate.evaluate(job(seed=1)).scores["vkdnw"] != first.scores["vkdnw"]
    assert evaluate.evaluate(job(options={"vkdnw": {"smoothing": 0.5}})).scores["vkdnw"] != first.scores["vkdnw"]


def test_latency_is_measured_where_asked_for_and_changes_no_score() -> None:
    environment = evaluate.prepare()
    plain = evaluate.evaluate(job())
    assert (plain.latency_ms, plain.device) == (None, None)
    timing = Timing(batch=2, runs=3, warmup=1, precision="float32")
    timed = evaluate.evaluate(Job.from_dict(job(timing=timing).as_dict()))
    assert timed.status == "ok"
    assert timed.latency_ms is not None
    assert timed.latency_ms > 0
    assert timed.device == environment["device"]
    assert timed.scores == plain.scores, "the network is scored as if nobody had timed it"
    assert set(timed.seconds) == {"build", "latency", "score"}
    assert Outcome(**timed.as_dict()) == timed
    assert Job.from_dict(job().as_dict()) == job()


def test_a_network_over_the_latency_budget_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def seconds(module: Any, **options: Any) -> list[float]:
        asked.update(options)
        return [0.5, 0.0123456, 0.001]

    monkeypatch.setattr(proxies, "inference_seconds", seconds)
    monkeypatch.setattr(proxies, "score", lambda *arguments, **options: pytest.fail("scored"))
    outcome = evaluate.evaluate(job(timing=Timing(8, 3, 2, "bfloat16", limit_ms=12)))
    assert asked == {"input_shape": (3, 64, 64), "batch": 8, "runs": 3, "warmup": 2, "precision": "bfloat16", "device": "cpu"}
    assert outcome.status == "over_budget"
    assert outcome.latency_ms == 12.346, "the median"
    assert outcome.reason == f"latency 12.35 ms > 12 ms on {evaluate.model_of('cpu')}"
    assert outcome.scores == {}
    monkeypatch.setattr(proxies, "score", lambda *arguments, **options: {"flops": 1.0})
    at_the_bound = evaluate.evaluate(job(timing=Timing(8, 3, 2, "bfloat16", limit_ms=12.346)))
    assert (at_the_bound.status, at_the_bound.latency_ms) == ("ok", 12.346), "the bound is inclusive"


def test_the_driver_knows_the_precisions_without_torch() -> None:
    """search.config.validation repeats the names of proxies.measuring.timing, which only a worker imports."""
    assert PRECISIONS == proxies.PRECISIONS


def test_other_sizes_and_classes_than_the_stored_ones() -> None:
    outcome = evaluate.evaluate(job(size=(32, 96), classes=3, proxies=("flops",)))
    assert outcome.scores["flops"] == uninas.cost(uninas.parse(job().architecture), (32, 96), 3).macs


def test_what_cannot_be_built_or_scored_fails_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = evaluate.evaluate(job(architecture="{"))
    assert broken.status == "failed"
    assert broken.reason is not None
    assert broken.reason.startswith("InputError: candidate ")
    assert broken.cause is Cause.ERROR
    assert "ProxyUsageError: unknown proxies none" in str(evaluate.evaluate(job(proxies=("none",))).reason)

    def raising(error: BaseException) -> Any:
        def score(*arguments: Any, **options: Any) -> dict[str, Any]:
            raise error

        return score

    for error in (
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried"),
    ):
        monkeypatch.setattr(proxies, "score", raising(error))
        failed = evaluate.evaluate(job())
        assert (failed.reason, failed.cause) == ("out of memory", Cause.OUT_OF_MEMORY)
    monkeypatch.setattr(proxies, "score", raising(ZeroDivisionError("by\nnothing")))
    assert evaluate.evaluate(job()).reason == "ZeroDivisionError: by nothing"
    monkeypatch.setattr(proxies, "score", raising(IllTyped("expected a map; got tokens")))
    failed = evaluate.evaluate(job())
    assert (failed.reason, failed.cause) == ("IllTyped: expected a map; got tokens", Cause.ERROR)
    assert Outcome.from_dict(json.loads(json.dumps(failed.as_dict()))) == failed


def test_a_network_is_given_as_many_channels_as_it_takes() -> None:
    wide = uninas.canonicalise(uninas.parse(job().architecture).replace(in_channels=5))
    outcome = evaluate.evaluate(job(architecture=uninas.to_text(wide), timing=Timing(1, 1, 0, "float32")))
    assert (outcome.status, outcome.reason) == ("ok", None)
    assert set(numbers(outcome.scores)) == set(NAMES)
    assert outcome.latency_ms is not None


def test_counts_are_those_of_the_network_and_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("params", "flops", "aleph", "nsc", "entropy")
    built = evaluate.evaluate(job(proxies=(*names, "naswot")))
    monkeypatch.setattr(uninas.compile, "build", None)
    found = evaluate.evaluate(job(proxies=names))
    assert dict(found.scores) == {name: built.scores[name] for name in names}
    assert (found.status, set(found.seconds)) == ("ok", {"build", "score"})
    assert evaluate.evaluate(job(proxies=names, architecture="no architecture")).status == "failed"


def test_a_proxy_that_fails_is_named_and_the_others_count() -> None:
    thin = uninas.parse(job().architecture)
    thin = dataclasses.replace(thin, stages=(uninas.Stage(16, (uninas.Block((None, None)),)),))
    outcome = evaluate.evaluate(job(architecture=uninas.to_text(thin), proxies=("vkdnw", "flops")))
    assert (outcome.status, outcome.cause, outcome.reason) == (
        "failed",
        Cause.INCOMPLETE,
        f"vkdnw: {outcome.scores['vkdnw']['failed']}",
    )
    assert "weights" in outcome.scores["vkdnw"]["failed"]
    assert numbers(outcome.scores) == {"flops": outcome.scores["flops"]}


def test_no_number_is_invented() -> None:
    outcome = outcome_of({"a": float("inf"), "b": {"failed": "why"}}, {})
    assert outcome == Outcome(
        {"a": {"failed": "non-finite value inf"}, "b": {"failed": "why"}},
        "a: non-finite value inf; b: why",
        {},
        cause=Cause.NOT_FINITE,
    )
    assert outcome_of({"a": 1.0, "b": {"failed": "why"}}, {}).status == "ok"
    assert outcome_of({}, {}).reason == "no score was asked for"
