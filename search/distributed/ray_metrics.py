"""What a search reports to Ray's metrics, for Prometheus and a dashboard to read.

Ray puts `ray_` before each name, `_total` behind a counter's, and labels of its own beside ours; a driver that resumes a run is
another series with the same `run`, so queries sum. Labels never name a candidate: there would be a series for each.
`configs/cluster/grafana_dashboard.json` reads exactly these names.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

import ray
import ray.util.client
from ray.util.metrics import Counter, Gauge, Histogram

from search.journal.records import Candidate, Rescore
from search.monitor.observer import NOBODY, Observer
from search.monitor.progress import State

_OF_PHASE = ("run", "phase")
COUNTERS = {
    "uninas_evaluations": ("Scorings in the journal, by status and by cause of failure", ("status", "cause")),
    "uninas_rejections": ("Tries of the algorithm that gave no candidate, by reason", ("reason",)),
    "uninas_duplicates": ("Tries of the algorithm that gave a network asked before", ()),
    "uninas_repeats": ("Scorings that were given to another worker because theirs died", ()),
}
"""Name -> (what it counts, labels beside run and phase); of what this driver's process has seen."""

HISTOGRAMS = {
    "build": ("uninas_build_seconds", "Seconds from a network's text to a torch module", [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3]),
    "score": ("uninas_score_seconds", "Seconds of all proxies of one network", [0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]),
}
"""Stage -> (name, what it measures, upper bounds of the buckets in seconds)."""

GAUGES = {
    "uninas_candidates": ("Candidates of the phase in the journal, those of earlier sessions included", ()),
    "uninas_candidates_wanted": ("Candidates that complete the phase", ()),
    "uninas_candidates_per_second": ("Candidates per second since the phase began in this session", ()),
    "uninas_in_flight": ("Candidates asked for and not journalled yet", ()),
    "uninas_workers": ("Workers that the pool has", ()),
    "uninas_best_score": ("Raw scores of the best candidate so far, by the objective", ("score",)),
    "uninas_gpu_peak_bytes": ("Most memory that one scoring has held on a GPU in this session; 0 without a GPU", ()),
}
"""Name -> (what it shows, labels beside run and phase)."""

_REASONS = 24  # labels that the reasons of a space may take; further ones are counted together as "other"
_GAUGE_SECONDS = 1.0  # between two settings of the gauges; one that is not set for a while is dropped by Ray


def observe(run: str, note: Callable[[str], None]) -> Observer:
    """Make the observer of a run for this process's Ray; `NOBODY` where it is not connected as one that has metrics.

    Args:
        run: name of the run, the label of all its series.
        note: called once if Ray rejects metrics.
    """
    remote: bool = ray.util.client.ray.is_connected()  # type: ignore[no-untyped-call]
    return NOBODY if remote or not ray.is_initialized() else RayMetrics(run, note)


@final
class RayMetrics:
    """An observer. No error of Ray's reaches the search: the first one is reported, and then no more metrics are sent.

    Args:
        run: name of the run.
        note: called with that error.
        clock: monotonic seconds.
    """

    def __init__(self, run: str, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._note = note
        self._clock = clock
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._reasons: set[str] = set()
        self._peak = 0
        self._last = float("-inf")
        self._broken = False

    def recorded(self, record: Candidate | Rescore) -> None:
        """Count a journal record."""
        self._guarded(lambda: self._count(record))

    def updated(self, state: State) -> None:
        """Set the gauges, once in a while and at the end of a phase."""
        now = self._clock()
        if now - self._last < _GAUGE_SECONDS and state.done < state.total:
            return
        self._last = now
        self._guarded(lambda: self._show(state))

    def _guarded(self, act: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            if not self._counters:
                self._declare()
            act()
        except Exception as error:  # whatever it is, the search matters more than its metrics
            self._broken = True
            text = " ".join(str(error).split())[:200]
            self._note(f"warning: Ray takes no metrics: {type(error).__name__}: {text}; the search goes on without them")

    def _declare(self) -> None:
        for name, (text, labels) in GAUGES.items():
            self._gauges[name] = Gauge(name, text, (*_OF_PHASE, *labels))
        for stage, (name, text, bounds) in HISTOGRAMS.items():
            self._histograms[stage] = Histogram(name, text, bounds, _OF_PHASE)
        for name, (text, labels) in COUNTERS.items():
            self._counters[name] = Counter(name, text, (*_OF_PHASE, *labels))

    def _count(self, record: Candidate | Rescore) -> None:
        phase = record.phase
        cause = record.cause.label if record.status == "failed" and record.cause is not None else "none"
        self._add("uninas_evaluations", 1, phase, status=record.status, cause=cause)
        self._add("uninas_duplicates", record.duplicates, phase)
        self._add("uninas_repeats", record.attempts - 1, phase)
        for reason, count in record.rejected.items():
            self._add("uninas_rejections", count, phase, reason=self._known(reason))
        for stage, spent in record.seconds.items():
            if stage in self._histograms:
                self._histograms[stage].observe(spent, {"run": self._run, "phase": phase})
        self._peak = max(self._peak, record.peak_bytes or 0)

    def _add(self, name: str, count: int, phase: str, **labels: str) -> None:
        if count > 0:  # Ray rejects adding nothing
            self._counters[name].inc(count, {"run": self._run, "phase": phase, **labels})

    def _known(self, reason: str) -> str:
        if len(self._reasons) < _REASONS:
            self._reasons.add(reason)
        return reason if reason in self._reasons else "other"

    def _show(self, state: State) -> None:
        values = {
            "uninas_candidates": state.done,
            "uninas_candidates_wanted": state.total,
            "uninas_candidates_per_second": state.rate(),
            "uninas_in_flight": state.in_flight,
            "uninas_workers": state.workers,
            "uninas_gpu_peak_bytes": self._peak,
        }
        for name, value in values.items():
            self._gauges[name].set(value, {"run": self._run, "phase": state.phase})
        for score, best in state.best_scores.items():
            self._gauges["uninas_best_score"].set(best, {"run": self._run, "phase": state.phase, "score": score})
