"""A search as its files show it: records of the journal in, one picture of the run out. Pure: no clock, no file.

    figures = Figures(config)
    figures.add(record)                                    each record, as it comes
    picture = figures.picture(name, info, rate, silent)    what a person or a program wants to know
    picture.lines(), picture.as_dict()

A journal has no times, so the rate comes from whoever reads it, see `search.monitor.follow`; `session_rate` is what the files
alone say of it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, final

from search.config.schema import SearchConfig
from search.monitor.observer import cause
from search.monitor.progress import State, line
from search.monitor.tally import Best, Tally
from search.ranking.objective import Objective, find
from search.workers.job import numbers

RECENT = 8  # candidates that are shown
_WORKERS = 12  # names that a text holds; a long search on a cluster has replaced hundreds of workers
PHASES = ("search", "random", "finalists")


@dataclass
class WatchedState(State):
    """A `State` read off files: its rate is given, and what is in flight is known of a journal in completion order only."""

    pace: float | None = None
    known_in_flight: bool = False

    def rate(self) -> float:
        """Give the rate as it was told; 0 while it is not known."""
        return self.pace or 0.0

    def figures(self) -> str:
        """Leave out what is not known."""
        text = super().figures()
        return text if self.known_in_flight else text.rpartition("   in flight")[0]


@dataclass
class PhaseFigures:
    """Counts of one phase.

    Attributes:
        tally: scored candidates, refusals, duplicates, seconds, as run.json has them.
        failures: failed ones by cause, see `search.monitor.observer.cause`.
        repeats: scorings that another worker had to do again.
        asked: asks in the journal; 0 unless its order is completion.
    """

    tally: Tally = field(default_factory=Tally)
    failures: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    asked: int = 0

    @property
    def done(self) -> int:
        """Scorings in the journal."""
        return self.tally.done

    def as_dict(self) -> dict[str, Any]:
        """Give the counts as JSON-able data."""
        return {**self.tally.as_dict(), "failures": dict(self.failures.most_common()), "repeats": self.repeats}


@dataclass(frozen=True)
class Picture:
    """The run at one moment.

    Attributes:
        name: of the run's folder.
        status: of run.json: running, interrupted, failed or complete; "starting" before there is one.
        state: figures of the phase under way, or of the last one.
        phases: figures by phase, those that have begun.
        recent: the last candidates, newest last: index, phase, digest, cost, seconds, status, reason, scores, worker.
        workers: by name: ok and failed scorings, those that scored last behind.
        silent_seconds: since the journal last grew.
        peak_bytes: most GPU memory that one scoring held; None without a GPU.
    """

    name: str
    config: SearchConfig
    status: str
    state: WatchedState
    phases: Mapping[str, PhaseFigures]
    totals: Mapping[str, int]
    recent: Sequence[Mapping[str, Any]]
    workers: Mapping[str, Mapping[str, int]]
    silent_seconds: float
    peak_bytes: int | None

    @property
    def heading(self) -> str:
        """What is searched, and how it stands, in a line."""
        config = self.config
        text = f"{self.name}: {self.status}, {config.algorithm} by {config.objective}, seed {config.seed}"
        silence = self.silent_seconds
        return text + (f", nothing new for {duration(silence)}" if self.status == "running" and silence >= 60 else "")

    def lines(self) -> list[str]:
        """Give the picture as plain text, a line a thing."""
        state = self.state
        lines = [self.heading, line(state)]
        lines += [text for _, text in self.details()]
        lines += [candidate_line(candidate) for candidate in self.recent]
        return lines

    def details(self) -> list[tuple[str, str]]:
        """Give what there is to say of refusals, failures and workers: a kind (rejected, failed, ...) and a line each."""
        found = []
        for name, phase in self.phases.items():
            if phase.tally.rejected:
                found.append(("rejected", f"{name}, rejected: {_listed(Counter(phase.tally.rejected).most_common())}"))
            if phase.failures:
                found.append(("failed", f"{name}, failed: {_listed(phase.failures.most_common())}"))
            if phase.repeats:
                found.append(("repeated", f"{name}, repeated after a worker's death: {phase.repeats}"))
        if self.workers:
            found.append(("workers", f"workers: {self._workers_text()}"))
        if self.peak_bytes is not None:
            found.append(("memory", f"GPU memory: {self.peak_bytes / 2**30:.2f} GiB at most"))
        return found

    def _workers_text(self) -> str:
        """Name the workers that scored last, with their counts."""
        shown = list(self.workers.items())[-_WORKERS:]
        words = [
            f"{name} {counts['ok']}" + (f" ({counts['failed']} failed)" if counts["failed"] else "") for name, counts in shown
        ]
        earlier = len(self.workers) - len(shown)
        return ", ".join(words) + (f", and {earlier} earlier ones" if earlier else "")

    def as_dict(self) -> dict[str, Any]:
        """Give the picture as JSON-able data; `rate` and `left_seconds` are null while they are not known."""
        state, config = self.state, self.config
        left = (state.total - state.done) / state.pace if state.pace else None
        return {
            "run": self.name, "status": self.status, "algorithm": config.algorithm, "objective": config.objective,
            "seed": config.seed, "phase": state.phase, "done": state.done, "total": state.total, "rate": state.pace,
            "left_seconds": 0.0 if state.done >= state.total else left, "silent_seconds": round(self.silent_seconds, 1),
            "in_flight": state.in_flight if state.known_in_flight else None, "best": dict(state.best_scores),
            "phases": {name: {"total": self.totals[name], **phase.as_dict()} for name, phase in self.phases.items()},
            "workers": {name: dict(counts) for name, counts in self.workers.items()},
            "peak_bytes": self.peak_bytes, "recent": [dict(candidate) for candidate in self.recent],
        }  # fmt: skip


@final
class Figures:
    """Takes in a journal's records in their order, in memory that does not grow with the candidates but for their ranks.

    Args:
        config: of the run; `config` may be set anew where a resumed run was given more evaluations.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        self._objective: Objective = find(config.objective)
        self._phases = {name: PhaseFigures() for name in PHASES}
        self._best = {name: Best(self._objective) for name in PHASES[:2]}
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._workers: dict[str, dict[str, int]] = {}
        self._peak: int | None = None

    @property
    def done(self) -> int:
        """Scorings in the journal, of all phases."""
        return sum(phase.done for phase in self._phases.values())

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one record in; kinds that say nothing of progress are passed over."""
        kind = record["kind"]
        if kind == "ask":
            self._phases[record["phase"]].asked += 1
        elif kind in ("candidate", "rescore"):
            self._count(record, record.get("phase", "finalists"))

    def _count(self, record: Mapping[str, Any], name: str) -> None:
        phase = self._phases[name]
        phase.tally.add({"duplicates": 0, "rejected": {}, **record})
        phase.repeats += max(record["attempts"] - 1, 0)
        if record["status"] == "failed":
            phase.failures[cause(record["reason"])] += 1
        if record["attempts"]:  # else the score of another phase was reused
            worker = self._workers.pop(record["worker"], None) or {"ok": 0, "failed": 0}
            worker["failed" if record["status"] == "failed" else "ok"] += 1
            self._workers[record["worker"]] = worker  # behind all others: it scored last
        if "peak_bytes" in record:
            self._peak = max(self._peak or 0, record["peak_bytes"])
        if record["kind"] == "candidate":
            self._best[name].add(numbers(record["scores"]))
            wanted = ("phase", "index", "digest", "cost", "seconds", "status", "reason", "scores", "worker")
            self._recent.append({key: record[key] for key in wanted})

    def totals(self) -> dict[str, int]:
        """Give how many scorings each phase is to have."""
        config, search = self.config, self._phases["search"]
        totals = {"search": config.evaluations}
        if config.baseline or self._phases["random"].done:
            totals["random"] = config.evaluations
        chosen = min(config.finalists.count, search.tally.ok) if search.done >= config.evaluations else config.finalists.count
        rescored = self._phases["finalists"].done  # those of before an extension count too
        return {**totals, "finalists": max(chosen * config.finalists.seeds, rescored)}

    def picture(self, name: str, info: Mapping[str, Any], rate: float | None, silent_seconds: float) -> Picture:
        """Give the run as it stands.

        Args:
            name: of the run's folder.
            info: what run.json holds; empty before there is one.
            rate: scorings a second, as the caller knows it.
            silent_seconds: since the journal last grew.
        """
        totals = self.totals()
        begun = {phase: self._phases[phase] for phase in totals if self._phases[phase].done or phase == "search"}
        current = next((phase for phase, total in totals.items() if self._phases[phase].done < total), list(totals)[-1])
        return Picture(
            name, self.config, str(info.get("status", "starting")), self._state(current, totals[current], rate), begun, totals,
            list(self._recent), {name: dict(counts) for name, counts in self._workers.items()}, silent_seconds, self._peak,
        )  # fmt: skip

    def _state(self, name: str, total: int, rate: float | None) -> WatchedState:
        phase, best = self._phases[name], self._best["random" if name == "random" else "search"]
        known = self.config.order == "completion" and name != "finalists"
        return WatchedState(
            phase=name, done=phase.done, total=total, done_before=0 if rate else phase.done,
            rejected=sum((phase.tally.rejected or {}).values()), duplicates=phase.tally.duplicates, failed=phase.tally.failed,
            over_budget=phase.tally.over_budget,
            in_flight=phase.asked - phase.done if known else 0, workers=len(self._workers),
            best=best.text(), best_scores=best.scores, pace=rate, known_in_flight=known,
        )  # fmt: skip


def session_rate(info: Mapping[str, Any], done: int, changed: float) -> float | None:
    """Give scorings a second by the files alone; None where they say nothing.

    While a search runs, its run.json holds the counts with which the session began; afterwards, the seconds of all.

    Args:
        info: what run.json holds.
        done: scorings in the journal.
        changed: when the journal last grew, in seconds since the epoch.
    """
    sessions = info.get("sessions") or []
    if not sessions:
        return None
    if info.get("status") == "running":
        counts = info.get("counts", {})
        before = sum(counts.get(name, {}).get("done", 0) for name in PHASES[:2]) + info.get("rescored", 0)
        seconds = changed - datetime.fromisoformat(sessions[-1]["started"]).timestamp()
        done -= before
    else:
        seconds = sum(session["wall_seconds"] for session in sessions)
    return done / seconds if done > 0 and seconds > 0 else None


def candidate_line(candidate: Mapping[str, Any]) -> str:
    """Give a scored candidate in a line."""
    cost = ", ".join(f"{name} {value:,}" for name, value in candidate["cost"].items() if name in ("params", "macs", "layers"))
    spent = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in candidate["seconds"].items())
    scores = ", ".join(f"{name} {value:.5g}" for name, value in numbers(candidate["scores"]).items())
    result = scores if candidate["status"] == "ok" else f"{candidate['status'].replace('_', ' ')}: {candidate['reason']}"
    return f"{candidate['phase']} {candidate['index']} {candidate['digest'][:12]}  {cost}  {spent}  {result}"


def duration(seconds: float) -> str:
    """Give a time span in words: 45 s, 12 min, 3 h 20 min."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _listed(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)
