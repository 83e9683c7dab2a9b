"""A search as its files show it: records of the journal in, one snapshot of the run out. Pure: no clock, no file.

    figures = Figures(config)
    figures.add(record)                                    each record, as it comes
    snapshot = figures.snapshot(name, info, rate, silent)  what a person or a program wants to know
    snapshot.lines(), snapshot.as_dict()

A journal has no times, so the rate comes from its reader, see `search.monitor.follow`; `session_rate` is what the files
alone say of it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, final

from search.config.schema import RANDOM, SearchConfig
from search.journal.endings import Controls, Exhausted
from search.journal.records import Ask, Candidate, Record, Rescore
from search.monitor.progress import State, line
from search.monitor.tally import Best, Tally
from search.ranking.objective import Objective, find

RECENT = 8  # candidates that are shown
_SHOWN = ("phase", "index", "digest", "cost", "seconds", "status", "reason", "scores", "worker")
_WORKERS = 12  # names that a text holds; a long search on a cluster has replaced hundreds of workers
PHASES = ("search", "random", "finalists")


@dataclass
class WatchedState(State):
    """A `State` read off files: its rate is given, and what is in flight is known of a journal in completion order only."""

    pace: float | None = None
    known_in_flight: bool = False

    def rate(self) -> float:
        """Give the rate as it was reported; 0 while it is not known."""
        return self.pace or 0.0

    def figures(self) -> str:
        """Leave out what is not known."""
        text = super().figures()
        return text if self.known_in_flight else text.rpartition("   in flight")[0]


@dataclass(frozen=True)
class Snapshot:
    """The run at one moment.

    Attributes:
        name: of the run's folder.
        status: of run.json: running, interrupted, failed or complete; "starting" before there is one.
        state: figures of the phase under way, or of the last one.
        phases: counts by phase, those that have begun.
        recent: the last candidates, newest last.
        workers: by name: ok and failed scorings, the worker that scored last at the end.
        silent_seconds: since the journal last grew.
        peak_bytes: most GPU memory that one scoring held; None without a GPU.
    """

    name: str
    config: SearchConfig
    status: str
    state: WatchedState
    phases: Mapping[str, Tally]
    totals: Mapping[str, int]
    recent: Sequence[Candidate]
    workers: Mapping[str, Mapping[str, int]]
    silent_seconds: float
    peak_bytes: int | None

    @property
    def heading(self) -> str:
        """What is searched, and how it stands, in one line."""
        config = self.config
        text = f"{self.name}: {self.status}, {config.algorithm} by {config.objective}, seed {config.seed}"
        silence = self.silent_seconds
        return text + (f", nothing new for {duration(silence)}" if self.status == "running" and silence >= 60 else "")

    def lines(self) -> list[str]:
        """Give the snapshot as plain text, one line per fact."""
        state = self.state
        lines = [self.heading, line(state)]
        lines += [text for _, text in self.details()]
        lines += [candidate_line(candidate) for candidate in self.recent]
        return lines

    def details(self) -> list[tuple[str, str]]:
        """Describe rejected tries, failures and workers: a kind (rejected, failed, ...) and a line each."""
        found = []
        for name, phase in self.phases.items():
            if phase.rejected:
                found.append(("rejected", f"{name}, rejected: {_listed(phase.rejected.most_common())}"))
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
        """Give the snapshot as JSON-able data; `rate` and `left_seconds` are null while they are not known."""
        state, config = self.state, self.config
        left = (state.total - state.done) / state.pace if state.pace else None
        return {
            "run": self.name,
            "status": self.status,
            "algorithm": config.algorithm,
            "objective": config.objective,
            "seed": config.seed,
            "phase": state.phase,
            "done": state.done,
            "total": state.total,
            "rate": state.pace,
            "left_seconds": 0.0 if state.done >= state.total else left,
            "silent_seconds": round(self.silent_seconds, 1),
            "in_flight": state.in_flight if state.known_in_flight else None,
            "best": dict(state.best_scores),
            "phases": {name: {"total": self.totals[name], **_counts(phase)} for name, phase in self.phases.items()},
            "workers": {name: dict(counts) for name, counts in self.workers.items()},
            "peak_bytes": self.peak_bytes,
            "recent": [{key: line[key] for key in _SHOWN} for line in (candidate.as_dict() for candidate in self.recent)],
        }


@final
class Figures:
    """Takes in a journal's records in their order. Its memory does not grow with the candidates, except for their ranks.

    Args:
        config: of the run; `config` may be set anew where a resumed run was given more evaluations.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        self._objective: Objective = find(config.objective)
        self._phases = {name: Tally() for name in PHASES}
        self._asked: Counter[str] = Counter()  # by phase; none unless the order is completion
        self._most: dict[str, int] = {}  # by phase, how many candidates the space has, where that is known
        self._best = {name: Best(self._objective) for name in PHASES[:2]}
        self._recent: deque[Candidate] = deque(maxlen=RECENT)
        self._workers: dict[str, dict[str, int]] = {}
        self._controls: Controls | None = None

    @property
    def done(self) -> int:
        """Scorings in the journal, of all phases."""
        return sum(phase.done for phase in self._phases.values())

    def add(self, record: Record) -> None:
        """Take one record in; kinds that say nothing of progress are passed over."""
        if isinstance(record, Exhausted):
            self._most[record.phase] = record.candidates
        elif isinstance(record, Controls):
            self._controls = record
        elif isinstance(record, Ask):
            self._asked[record.phase] += 1
        elif isinstance(record, Candidate | Rescore):
            self._count(record)

    def _count(self, record: Candidate | Rescore) -> None:
        self._phases[record.phase].add(record)
        if record.attempts:  # else the score of another phase was reused
            worker = self._workers.pop(record.worker, None) or {"ok": 0, "failed": 0}
            worker["failed" if record.status == "failed" else "ok"] += 1
            self._workers[record.worker] = worker  # after all others: it scored last
        if isinstance(record, Candidate):
            self._best[record.phase].add(record.scores)
            self._recent.append(record)

    def totals(self) -> dict[str, int]:
        """Give how many scorings each phase is to have."""
        config, search = self.config, self._phases["search"]
        totals = {"search": self._wanted("search")}
        if config.baseline or self._phases["random"].done:
            totals["random"] = self._wanted("random")
        chosen = min(config.finalists.count, search.ok) if search.done >= totals["search"] else config.finalists.count
        rescored = self._phases["finalists"].done  # those of before an extension count too
        others = min(config.finalists.reliability, max(0, totals["search"] // 4 - chosen))
        if self._controls is not None and self._controls.candidates == search.done:
            return {**totals, "finalists": max(self._controls.scorings, rescored)}
        beside = [name for name in config.finalists.controls if name != RANDOM or config.baseline]
        return {**totals, "finalists": max((chosen + len(beside)) * config.finalists.seeds + others, rescored)}

    def _wanted(self, phase: str) -> int:
        return min(self.config.evaluations, self._most.get(phase, self.config.evaluations))

    def snapshot(self, name: str, info: Mapping[str, Any], rate: float | None, silent_seconds: float) -> Snapshot:
        """Give the run as it stands.

        Args:
            name: of the run's folder.
            info: what run.json holds; empty before there is one.
            rate: scorings per second, as the caller knows it.
            silent_seconds: since the journal last grew.
        """
        totals = self.totals()
        begun = {phase: self._phases[phase] for phase in totals if self._phases[phase].done or phase == "search"}
        current = next((phase for phase, total in totals.items() if self._phases[phase].done < total), list(totals)[-1])
        return Snapshot(
            name=name,
            config=self.config,
            status=str(info.get("status", "starting")),
            state=self._state(current, totals[current], rate),
            phases=begun,
            totals=totals,
            recent=list(self._recent),
            workers={name: dict(counts) for name, counts in self._workers.items()},
            silent_seconds=silent_seconds,
            peak_bytes=max((phase.peak_bytes for phase in self._phases.values() if phase.peak_bytes is not None), default=None),
        )

    def _state(self, name: str, total: int, rate: float | None) -> WatchedState:
        phase, best = self._phases[name], self._best["random" if name == "random" else "search"]
        known = self.config.order == "completion" and name != "finalists"
        return WatchedState(
            phase=name,
            done=phase.done,
            total=total,
            done_before=0 if rate else phase.done,
            rejected=phase.rejected.total(),
            duplicates=phase.duplicates,
            failed=phase.failed,
            over_budget=phase.over_budget,
            stopped=phase.stopped,
            in_flight=self._asked[name] - phase.done if known else 0,
            workers=len(self._workers),
            best=best.text(),
            best_scores=best.scores(),
            pace=rate,
            known_in_flight=known,
        )


def session_rate(info: Mapping[str, Any], done: int, changed: float) -> float | None:
    """Give scorings per second by the files alone; None where they say nothing.

    While a search runs, its run.json holds the counts with which the session began; afterwards, the seconds of all sessions.

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


def candidate_line(candidate: Candidate) -> str:
    """Give a scored candidate in one line."""
    cost = ", ".join(f"{name} {value:,}" for name, value in candidate.cost.items() if name in ("params", "macs", "layers"))
    spent = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in candidate.seconds.items())
    scores = ", ".join(f"{name} {value:.5g}" for name, value in candidate.scores.items())
    result = scores if candidate.status == "ok" else f"{candidate.status.replace('_', ' ')}: {candidate.reason}"
    return f"{candidate.phase} {candidate.index} {candidate.digest[:12]}  {cost}  {spent}  {result}"


def duration(seconds: float) -> str:
    """Give a time span in words: 45 s, 12 min, 3 h 20 min."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _counts(phase: Tally) -> dict[str, Any]:
    """Give the counts of a phase as JSON-able data: those of run.json and more."""
    return {**phase.as_dict(), "failures": dict(phase.failures.most_common()), "repeats": phase.repeats}


def _listed(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)
