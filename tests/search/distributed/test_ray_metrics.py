"""Metrics: what a driver tells Ray, what a real Prometheus then has, and the Grafana dashboard's every query on it."""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from search.distributed import ray_metrics
from search.distributed.ray_metrics import COUNTERS, GAUGES, HISTOGRAMS, RayMetrics
from search.journal.records import Rescore
from search.monitor.observer import NOBODY
from search.monitor.progress import State
from search.workers import evaluate
from search.workers.job import Outcome
from search.workers.pool import Done
from tests.search.conftest import ROOT, records
from tests.search.flaky import DEATH
from tests.search.monitor.test_watch import candidate, failed, rescore
from tests.waiting import wait_until

DASHBOARD = ROOT / "configs" / "cluster" / "grafana_dashboard.json"
EXPORTED = {
    *(f"ray_{name}_total" for name in COUNTERS),
    *(f"ray_{name}_{part}" for name, _, _ in HISTOGRAMS.values() for part in ("bucket", "sum", "count")),
    *(f"ray_{name}" for name in GAUGES),
}
RATE_INTERVAL = "15s"  # what Grafana would put for $__rate_interval, at a scrape a second


@dataclass
class Told:
    """Stands in for a metric of Ray's."""

    name: str
    text: str
    bounds: Any = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.labels = self.labels or self.bounds
        self.calls: list[tuple[float, dict[str, str]]] = []

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert set(tags) == set(self.labels)
        assert value > 0
        self.calls.append((value, tags))

    set = observe = inc


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Told]:
    """All metrics that are made, by name."""
    made: dict[str, Told] = {}

    def make(*arguments: Any) -> Told:
        return made.setdefault(arguments[0], Told(*arguments))

    for kind in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(ray_metrics, kind, make)
    monkeypatch.setattr(Told, "set", lambda self, value, tags: self.calls.append((value, tags)))
    return made


def test_records_are_counted(told: dict[str, Told]) -> None:
    metrics = RayMetrics("mine", pytest.fail)
    metrics.recorded(candidate(0, attempts=3, peak_bytes=5))
    metrics.recorded(failed(1, "out of memory", duplicates=0))
    metrics.recorded(rescore())
    here = {"run": "mine", "phase": "search"}
    assert told["uninas_evaluations"].calls == [
        (1, {**here, "status": "ok", "cause": "none"}),
        (1, {**here, "status": "failed", "cause": "out of memory"}),
        (1, {"run": "mine", "phase": "finalists", "status": "ok", "cause": "none"}),
    ]
    assert told["uninas_duplicates"].calls == [(1, here)]
    assert told["uninas_repeats"].calls == [(2, here)]
    assert told["uninas_rejections"].calls[:2] == [
        (1, {**here, "reason": "no_site"}),
        (2, {**here, "reason": "over budget: macs"}),
    ]
    assert [value for value, _ in told["uninas_build_seconds"].calls] == [0.01, 0.01, 0.1]
    assert [value for value, _ in told["uninas_score_seconds"].calls] == [0.5]


def test_a_network_over_the_latency_budget_is_no_failure(told: dict[str, Told]) -> None:
    reason = "latency 12.3 ms > 10 ms on a toy"
    RayMetrics("mine", pytest.fail).recorded(candidate(0, status="over_budget", reason=reason, scores={}))
    ((count, labels),) = told["uninas_evaluations"].calls
    assert (count, labels["status"], labels["cause"]) == (1, "over_budget", "none")


def test_figures_become_gauges_once_a_second_and_at_the_end(told: dict[str, Told]) -> None:
    moments = iter((0.0, 0.5, 0.9, 1.5, 1.6, 1.7))
    metrics = RayMetrics("mine", pytest.fail, clock=lambda: next(moments))
    state = State(phase="search", done=3, total=10, in_flight=2, workers=4, best_scores={"aleph": 7.0})
    for _ in range(4):
        metrics.updated(state)
    assert len(told["uninas_workers"].calls) == 2
    state.done = 10
    metrics.updated(state)
    assert [value for value, _ in told["uninas_candidates"].calls] == [3, 3, 10]
    assert told["uninas_best_score"].calls[-1] == (7.0, {"run": "mine", "phase": "search", "score": "aleph"})
    assert told["uninas_gpu_peak_bytes"].calls[-1][0] == 0
    metrics.recorded(candidate(0, peak_bytes=5))
    metrics.recorded(candidate(0, peak_bytes=3))
    metrics.updated(state)
    assert told["uninas_gpu_peak_bytes"].calls[-1][0] == 5


def test_reasons_are_few_whatever_a_space_says(told: dict[str, Told]) -> None:
    metrics = RayMetrics("mine", pytest.fail)
    for index in range(100):
        metrics.recorded(candidate(index, rejected={f"reason {index}": 1}))
    reasons = {tags["reason"] for _, tags in told["uninas_rejections"].calls}
    assert len(reasons) == 25
    assert "other" in reasons
    assert len(told["uninas_rejections"].calls) == 100


def test_a_backend_that_fails_is_said_once_and_never_stops_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def broken(*arguments: Any) -> Any:
        tries.append(arguments)
        raise RuntimeError("no agent\nhere")

    notes: list[str] = []
    monkeypatch.setattr(ray_metrics, "Gauge", broken)
    metrics = RayMetrics("mine", notes.append)
    for index in range(5):
        metrics.recorded(candidate(index))
        metrics.updated(State(phase="search"))
    assert notes == ["warning: Ray takes no metrics: RuntimeError: no agent here; the search goes on without them"]
    assert len(tries) == 1


def test_without_a_connection_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_metrics.ray, "is_initialized", lambda: False)
    assert ray_metrics.observe("mine", pytest.fail) is NOBODY


def test_the_memory_of_a_gpu_is_in_the_outcome_and_in_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's figures stand in for a GPU's: the peak is that of this scoring alone, also where it failed."""
    held = {"peak": 999, "reset": 0}
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: held.update(peak=0))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: held["peak"])
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    def score(job: int, device: str, seconds: dict[str, float]) -> Outcome:
        held["peak"] += job
        if job > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Outcome({"flops": 1.0})

    outcomes = [evaluate.guarded(score, size, "cuda:0") for size in (7, 5, 11)]
    assert [(outcome.status, outcome.peak_bytes) for outcome in outcomes] == [("ok", 7), ("ok", 5), ("failed", 11)]
    assert Outcome(**outcomes[0].as_dict()) == outcomes[0]
    assert Rescore.of("0", 0, 5, Done(0, outcomes[0], "one")).as_dict()["peak_bytes"] == 7
    assert "peak_bytes" not in Rescore.of("0", 0, 5, Done(0, evaluate.guarded(score, 3, "cpu"), "one")).as_dict()


def targets() -> list[tuple[str, str]]:
    """(title of the panel, query) of the whole dashboard."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_reads_exactly_the_metrics_that_there_are() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    used = {name for query in [*variables, *(query for _, query in targets())] for name in re.findall(r"\bray_\w+", query)}
    assert used <= EXPORTED
    metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in EXPORTED}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} == metrics


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert (dashboard["id"], dashboard["uid"], dashboard["title"]) == (None, "uninas-search", "UniNAS search")
    assert dashboard["schemaVersion"] >= 36
    source, run = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert (run["name"], run["type"]) == ("run", "query")
    reference = {"type": "prometheus", "uid": "${datasource}"}
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels) >= 10
    taken: set[tuple[int, int]] = set()
    for panel in [*panels, run]:
        assert panel["datasource"] == reference
    for panel in panels:
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["description"].endswith((".", "GPU."))
        assert panel["fieldConfig"]["defaults"]["unit"]
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert target["datasource"] == reference
            assert 'run=~"$run"' in target["expr"]
            assert target["legendFormat"]


@pytest.fixture
def prometheus_binary() -> str:
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("no `prometheus` here: apt-get install prometheus, to hold the metrics and the dashboard against a real one")
    return found


@pytest.fixture
def search(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A real search whose Ray is up, waiting for a line to begin; see tests.search.measured."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        DEATH: str(tmp_path / "death"),
        "HOME": str(tmp_path),
        "RAY_metrics_report_interval_ms": "1000",  # ten seconds by default
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray keeps to loopback
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.search.measured", str(tmp_path / "measured")],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        try:
            process.communicate(timeout=120)  # which ends its input
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate(timeout=120)
            raise


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Prometheus:
    """A running server and its HTTP interface."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: Any) -> Any:
        query = urllib.parse.urlencode(parameters, doseq=True)
        with urllib.request.urlopen(f"{self.base}{path}?{query}", timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def values(self, query: str, since: float) -> list[float]:
        """All finite values of a query from `since` to now, a second apart, as a panel draws them."""
        now = time.time()
        answer = self.ask("/api/v1/query_range", query=query, start=since, end=now, step=max(1.0, (now - since) / 5000))
        found = [float(value) for series in answer["result"] for _, value in series["values"]]
        return [value for value in found if math.isfinite(value)]

    def total(self, query: str) -> float | None:
        """The one value of a query now."""
        result = self.ask("/api/v1/query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None


@pytest.mark.slow
def test_a_real_prometheus_has_data_for_every_query_of_the_dashboard(
    tmp_path: Path, prometheus_binary: str, search: subprocess.Popen[str]
) -> None:
    """With the configuration that Ray itself writes, scraping every second instead of every ten."""
    assert search.stdin is not None
    assert search.stdout is not None
    session = Path(search.stdout.readline().strip())
    written = session / "metrics" / "prometheus" / "prometheus.yml"
    wait_until(written.is_file, every=0.5, said=lambda: f"{written}: Ray has not written it")
    text = written.read_text()
    assert "scrape_interval: 10s" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("_interval: 10s", "_interval: 1s"))
    port, began = free_port(), time.time()
    with subprocess.Popen(
        [
            prometheus_binary,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
    ) as server:
        try:
            prometheus = Prometheus(port)
            wait_until(prometheus.ready, every=0.5, said=lambda: "Prometheus is not ready")
            search.stdin.write("begin\n")
            search.stdin.flush()
            assert "complete\n" in iter(search.stdout.readline, "")  # Ray says things in between
            check_dashboard(prometheus, began)
            check_counts(prometheus, tmp_path / "measured")
        finally:
            server.terminate()
            server.wait(timeout=30)


def queries(run: str) -> list[str]:
    """Every query of the dashboard, its variables replaced as Grafana does."""
    return [query.replace("$run", run).replace("$__rate_interval", RATE_INTERVAL) for _, query in targets()]


def check_dashboard(prometheus: Prometheus, began: float) -> None:
    missing = [*queries(".+"), *queries("measured")]  # all runs, and this one

    def all_there() -> bool:
        missing[:] = [query for query in missing if not prometheus.values(query, began)]
        return not missing

    wait_until(all_there, every=0.5, said=lambda: f"no data: {missing}")
    assert prometheus.ask("/api/v1/label/run/values", **{"match[]": "ray_uninas_candidates"}) == ["measured"]
    assert not [query for query in queries("another") if prometheus.values(query, began)]  # each keeps to the chosen run


def check_counts(prometheus: Prometheus, folder: Path) -> None:
    """What Prometheus has in the end is what the journal has."""
    lines = [record for record in records(folder) if record["kind"] in ("candidate", "rescore")]
    candidates = [line for line in lines if line["kind"] == "candidate"]
    expected = {
        'sum(ray_uninas_evaluations_total{status="ok"})': sum(line["status"] == "ok" for line in lines),
        'sum(ray_uninas_evaluations_total{status="failed", cause="out of memory"})': sum(
            line["reason"] == "out of memory" for line in lines
        ),
        "sum(ray_uninas_duplicates_total)": sum(line["duplicates"] for line in candidates),
        "sum(ray_uninas_rejections_total)": sum(sum(line["rejected"].values()) for line in candidates),
        "sum(ray_uninas_repeats_total)": sum(line["attempts"] - 1 for line in lines),
        "sum(ray_uninas_build_seconds_count)": len(lines),
        "sum(ray_uninas_score_seconds_count)": sum("score" in line["seconds"] for line in lines),
        'max(max_over_time(ray_uninas_candidates{phase="search"}[1h]))': 30,
        'max(max_over_time(ray_uninas_candidates_wanted{phase="finalists"}[1h]))': 4,
        'max(max_over_time(ray_uninas_workers{phase="search"}[1h]))': 2,
        'max(max_over_time(ray_uninas_gpu_peak_bytes{phase="search"}[1h]))': 0,
    }
    have: dict[str, float | None] = {}

    def equal() -> bool:
        have.update({query: prometheus.total(query) for query in expected})
        return have == expected

    wait_until(equal, every=0.5, said=lambda: f"expected {expected}; got {have}")
    series = prometheus.ask("/api/v1/series", **{"match[]": '{__name__=~"ray_uninas_.*"}'})
    digests = {line["digest"] for line in lines}
    assert {one["__name__"] for one in series} == EXPORTED
    assert not [one for one in series for value in one.values() if value in digests or value[:12] in {d[:12] for d in digests}]
