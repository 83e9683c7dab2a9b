"""One stretch of a run: ask, score, tell, journal, until so many candidates are in the journal.

With `order: ask` the journal's lines are in ask order, whichever finished first; a result that waits for an older one
is in memory only, and is scored again if the driver dies. With `order: completion` the journal is the log of events
itself, asks included, so that a replay sees every tell at the ask that saw it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from search.algorithms import AskTell, Proposal, SpaceExhaustedError, make
from search.algorithms.candidate import Space
from search.config.plan import SearchPlan
from search.journal.endings import Exhausted
from search.journal.journal import Journal, JournalError
from search.journal.records import Ask, Candidate
from search.monitor.first import First
from search.monitor.observer import NOBODY, Observer
from search.monitor.progress import State, View
from search.monitor.tally import Best, Tally
from search.ranking.objective import LATENCY, Objective
from search.workers.interrupts import Interrupts
from search.workers.job import Cause, Outcome, Work, numbers
from search.workers.pool import POLL_SECONDS, Done, Pool
from uninas.errors import InputError

ASKS_AT_ONCE = 64  # then results are looked for, however many more jobs the pool takes
FIRST = 16  # candidates after which a search ends that has scored none and failed always in the same way
LINES_AT_ONCE = 32  # beside one per ask: a straggler may hold thousands of lines back, and workers wait while they are written


Tie = tuple[int, int, str] | tuple[()]


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """What a run keeps in memory of a scored candidate.

    Attributes:
        index, digest, scores: as the journal has them.
        costs: those that the run's end needs, and the latency where measured.
        device: that measured it.
        tie: what decides between candidates of equal value, the lower first; then the older.
        stopped: whether a rung of the ladder did, so that it has not every score.
    """

    index: int
    digest: str
    scores: Mapping[str, float]
    costs: Mapping[str, float] = field(default_factory=dict)
    device: str | None = None
    tie: Tie = ()
    stopped: bool = False

    @staticmethod
    def of(record: Candidate, costs: Sequence[str], ties: str) -> Entry:
        """Keep of a journal record what is needed, of its costs these, and what decides ties."""
        kept, stopped = record.costs(costs), record.status == Cause.STOPPED
        return Entry(record.index, record.digest, record.scores, kept, record.device, tie_of(record, ties), stopped)


def tie_of(record: Candidate, ties: str) -> Tie:
    """Give what decides between candidates of equal value: "cheaper" or "older", see `SearchConfig.ties`."""
    return (record.cost.get("params", 0), record.cost.get("macs", 0), record.digest) if ties == "cheaper" else ()


@final
class Phase:
    """See the module's head.

    Args:
        name: "search" or "random".
        engine: the algorithm, fresh.
        total: candidates wanted in the journal.
        order: "ask" or "completion", as the engine has it.
        objective: orders the candidates for the progress display.
        job: makes a candidate's job; given the scores that its ask saw, latest first.
        state: figures for the progress display.
        costs: names of the costs that the end of the run needs of each candidate.
        ties: how the end of the run decides ties.
    """

    def __init__(
        self,
        name: str,
        engine: AskTell,
        *,
        total: int,
        order: str,
        objective: Objective,
        job: Callable[[Proposal, Iterable[Mapping[str, float]]], Work],
        state: State,
        costs: Sequence[str] = (),
        ties: str = "cheaper",
    ) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self.tally = Tally()
        self._engine = engine
        self._total = total
        self._exhausted = False
        self._order = order
        self._job = job
        self._costs, self._ties = costs, ties
        self._known: Mapping[str, Outcome] = {}
        self._state = state
        self._best = Best(objective)
        self._proposals: dict[int, Proposal] = {}
        self._records: dict[int, Candidate] = {}  # finished, waiting for an older one
        self._observer: Observer = NOBODY
        self._first = First(0)

    @property
    def complete(self) -> bool:
        """Whether the journal holds all that is wanted."""
        return len(self.entries) >= self._total

    @property
    def exhausted(self) -> bool:
        """Whether the space was seen whole, so that this is all there is."""
        return self._exhausted

    def estimates(self) -> Mapping[int, float]:
        """What the algorithm's model expects of each candidate, by index; empty where it has none, see `AskTell.estimates`."""
        return self._engine.estimates()

    def end_at(self, record: Exhausted) -> None:
        """Want no more candidates than the space has."""
        self._exhausted, self._total = True, min(self._total, record.candidates)

    def replay(self, events: Iterable[Ask | Entry], check: Callable[[], None] = lambda: None) -> None:
        """Ask and tell again what the journal says was asked and told; asks of their own are in it with `order: completion` only.

        `check` is called before each, and raises `KeyboardInterrupt`.

        Raises:
            JournalError: an ask now gives another network than then; the message says at which index.
        """
        for event in events:
            check()
            if isinstance(event, Ask) or self._order == "ask":
                self._repeat_ask(event)
            if isinstance(event, Entry):
                if event.index not in self._proposals:
                    raise JournalError(
                        f"{self.name} {event.index}: expected its ask before its result in the journal; there is none"
                    )
                self._engine.tell(event.index, event.scores, event.costs)
                del self._proposals[event.index]
                self._enter(event)

    def _repeat_ask(self, event: Ask | Entry) -> None:
        if event.index != self._engine.asked:
            raise JournalError(
                f"{self.name}: expected candidate {self._engine.asked} next in the journal; got {event.index}: it was edited"
            )
        proposal = self._engine.ask()
        if proposal.candidate.digest != event.digest:
            raise JournalError(
                f"{self.name} {event.index}: expected the replay to give {event.digest[:12]} as the journal has it; got "
                f"{proposal.candidate.digest[:12]}: this is not the program or start that began the run"
            )
        self._proposals[event.index] = proposal

    def _enter(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._best.add(entry.scores)

    def run(
        self,
        pool: Pool,
        journal: Journal,
        view: View,
        interrupts: Interrupts,
        known: Mapping[str, Outcome],
        observer: Observer = NOBODY,
    ) -> None:
        """Go on until the phase is complete. `KeyboardInterrupt` leaves it resumable.

        Raises InputError where the first `FIRST` candidates of this session, or all of them, failed in one way, and none was ever
        scored: so will the others. `known` holds the outcomes of networks scored before, by digest; those are neither scored nor
        timed again.
        """
        self._known, self._observer = known, observer
        self._state.begin(self.name, len(self.entries), self._total)
        self._first = First(min(FIRST, self._total - len(self.entries)))
        for index in sorted(self._proposals):  # asked before an earlier session ended, never finished
            self._submit(self._proposals[index], pool, journal)
        try:
            self._serve(pool, journal, view, interrupts)
        except JournalError:
            raise  # what is in memory must not follow a torn line
        except BaseException:
            self._write_ready(journal)
            raise

    def _serve(self, pool: Pool, journal: Journal, view: View, interrupts: Interrupts) -> None:
        while True:
            asks = 0
            while asks < ASKS_AT_ONCE and self._may_ask(pool):
                interrupts.check()
                self._ask(pool, journal, view)
                asks += 1
            self._write_ready(journal, asks + LINES_AT_ONCE)
            self._state.workers = pool.workers()
            self._show(view)
            if self._first.hopeless and not self.tally.ok:
                raise InputError(f"{self.name}: {self._first.said}")
            if self.complete:
                return
            interrupts.check()
            at_work = self._may_ask(pool) or len(self.entries) in self._records
            for done in pool.poll(0.0 if at_work else POLL_SECONDS):
                self._finish(done, journal)

    def _may_ask(self, pool: Pool) -> bool:
        return self._engine.asked < self._total and pool.free() > 0 and self._engine.ready()

    def _ask(self, pool: Pool, journal: Journal, view: View) -> None:
        try:
            proposal = self._engine.ask()
        except SpaceExhaustedError as error:
            if not error.whole:
                raise
            self._end(Exhausted(self.name, self._engine.asked), journal, view)
            return
        self._proposals[proposal.index] = proposal
        if self._order == "completion":
            journal.append(Ask(self.name, proposal.index, proposal.candidate.digest, self._engine.told))
        self._submit(proposal, pool, journal)

    def _end(self, record: Exhausted, journal: Journal, view: View) -> None:
        journal.append(record)
        self.end_at(record)
        self._state.total = self._total
        view.note(f"{self.name}: the space has {record.candidates:,} candidates within the budget, and all have been asked")

    def _submit(self, proposal: Proposal, pool: Pool, journal: Journal) -> None:
        known = self._known.get(proposal.candidate.digest)
        if known is None:
            pool.submit(proposal.index, self._job(proposal, self._seen_by(proposal)))
        else:
            self._finish(Done(proposal.index, known, "reused", attempts=0), journal)

    def _seen_by(self, proposal: Proposal) -> Iterator[Mapping[str, float]]:
        """Give the scores that an ask saw, the latest asked, or reported, first; some may not be in the journal yet."""
        for place in reversed(range(proposal.seen)):
            yield self.entries[place].scores if place < len(self.entries) else self._records[place].scores

    def _finish(self, done: Done, journal: Journal) -> None:
        proposal = self._proposals.pop(done.ticket)
        latency = done.outcome.latency_ms
        self._engine.tell(proposal.index, numbers(done.outcome.scores), {} if latency is None else {LATENCY: latency})
        record = Candidate.of(self.name, proposal, done)
        if self._order == "completion":
            self._write(record, journal)
            return
        self._records[proposal.index] = record

    def _write_ready(self, journal: Journal, limit: int | None = None) -> None:
        """Write the lines that wait for no older one, at most `limit` of them."""
        written = 0
        while written != limit and (record := self._records.get(len(self.entries))) is not None:
            self._write(record, journal)
            del self._records[record.index]
            written += 1

    def _write(self, record: Candidate, journal: Journal) -> None:
        journal.append(record)
        self.tally.add(record)
        self._first.add(record)
        self._enter(Entry.of(record, self._costs, self._ties))
        self._observer.recorded(record)

    def _show(self, view: View) -> None:
        state, tally = self._state, self.tally
        state.done, state.in_flight, state.failed = len(self.entries), len(self._proposals), tally.failed
        state.duplicates, state.rejected = tally.duplicates, tally.rejected.total()
        state.stopped = tally.stopped
        state.over_budget, state.failures = tally.over_budget, dict(tally.failures.most_common())
        under_way = not self.complete
        state.best, state.best_scores = self._best.text(roughly=under_way), self._best.scores(roughly=under_way)
        view.update(state)
        self._observer.updated(state)


def phase_of(
    plan: SearchPlan,
    space: Space,
    state: State,
    name: str,
    algorithm: str,
    window: int,
    options: Mapping[str, Any],
    objectives: Sequence[str],
) -> Phase:
    """Make a phase at its beginning, with its algorithm.

    Args:
        plan: of the run.
        space: to search.
        state: figures for the progress display.
        name: "search" or "random".
        algorithm, window, options, objectives: of its algorithm.
    """
    engine = make(
        algorithm,
        space,
        plan.objective,
        seed=plan.seed,
        phase=name,
        window=window,
        order=plan.order,
        options=options,
        objectives=objectives,
    )
    return Phase(
        name,
        engine,
        total=plan.evaluations,
        order=plan.order,
        objective=plan.objective,
        job=lambda proposal, seen: plan.search_job(
            proposal.candidate.digest, space.text(proposal.candidate), seen if name == "search" else None
        ),
        state=state,
        costs=plan.costs,
        ties=plan.ties,
    )
