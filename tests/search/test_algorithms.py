"""One conformance suite over every algorithm, then what is particular to each."""

import random
from collections.abc import Callable

import pytest

from search.algorithms import ALGORITHMS, AskTell, OrderError, SpaceExhaustedError, make
from search.candidate import Candidate, Rejected
from search.objective import OBJECTIVES, Objective
from tests.search.fakes import ToySpace, toy_scores
from uninas.errors import InputError

OBJECTIVE = OBJECTIVES["vkdnw_agg"]
OPTIONS = {
    "evolution": {"population": 8},
    "aging_evolution": {"population": 8, "tournament": 3},
    "pareto": {"population": 8},
}
every = pytest.mark.parametrize("name", sorted(ALGORITHMS))


def engine(
    name: str, *, seed: int = 0, window: int = 4, order: str = "ask", space: ToySpace | None = None, tries: int = 10_000
) -> AskTell:
    return make(
        name, space or ToySpace(), OBJECTIVE, seed=seed, window=window, order=order, options=OPTIONS.get(name), tries=tries
    )


def trace(run: AskTell, total: int, pick: Callable[[list[int]], int]) -> list[tuple[str, str | None, int]]:
    """Ask as often as allowed, tell in the order `pick` chooses; gives what was asked."""
    asked, under_way = [], {}
    while len(asked) < total or under_way:
        while len(asked) < total and run.ready():
            proposal = run.ask()
            asked.append((proposal.candidate.digest, proposal.candidate.parent, proposal.duplicates))
            under_way[proposal.index] = proposal.candidate
        index = pick(sorted(under_way))
        run.tell(index, toy_scores(under_way.pop(index).body, 0))
    return asked


@every
def test_one_seed_one_sequence_whatever_the_order_of_tells(name: str) -> None:
    first = trace(engine(name), 200, lambda waiting: waiting[0])
    shuffled = random.Random(7)
    assert trace(engine(name), 200, lambda waiting: waiting[-1]) == first
    assert trace(engine(name), 200, shuffled.choice) == first


@every
def test_another_seed_is_another_sequence(name: str) -> None:
    assert trace(engine(name, seed=1), 50, min) != trace(engine(name), 50, min)


@every
def test_a_prefix_does_not_depend_on_how_long_the_search_is(name: str) -> None:
    assert trace(engine(name), 60, max) == trace(engine(name), 200, min)[:60]


@every
def test_no_digest_is_asked_twice(name: str) -> None:
    digests = [digest for digest, _, _ in trace(engine(name), 300, min)]
    assert len(set(digests)) == 300


@every
def test_every_candidate_is_within_the_budget(name: str) -> None:
    run = engine(name, space=ToySpace(budget=12))
    for _ in range(100):
        proposal = run.ask()
        assert proposal.candidate.cost["params"] <= 12
        run.tell(proposal.index, toy_scores(proposal.candidate.body, 0))


@every
def test_refusals_and_duplicates_are_counted(name: str) -> None:
    run = engine(name, space=ToySpace(budget=8))
    rejected, duplicates = 0, 0
    for _ in range(150):
        proposal = run.ask()
        rejected += proposal.rejected.get("over budget: params", 0)
        duplicates += proposal.duplicates
        run.tell(proposal.index, toy_scores(proposal.candidate.body, 0))
    assert rejected > 50
    assert duplicates > (0 if name == "random" else 10)


@every
def test_the_window_bounds_what_is_under_way(name: str) -> None:
    run = engine(name, window=3)
    for _ in range(3):
        run.ask()
    assert not run.ready()
    with pytest.raises(OrderError, match=r"ask 3: expected the tells 0 \.\. 0 first \(window 3\)"):
        run.ask()
    run.tell(1, {})
    run.tell(2, {})
    assert not run.ready()  # 0 is missing, and ask 3 must see it
    run.tell(0, {})
    assert run.ask().index == 3


@every
def test_tells_that_no_ask_may_see_yet_change_nothing(name: str) -> None:
    """Ask k sees the tells 0 .. k - W: a later tell, known early, must not matter."""
    window = 6
    early, late = engine(name, window=window), engine(name, window=window)
    for _ in range(window):
        early.ask()
        late.ask()
    for index in range(window):
        early.tell(index, toy_scores(early.pending(index).body, 0))
    for ask in range(window, 40):
        late.tell(ask - window, toy_scores(late.pending(ask - window).body, 0))
        left, right = early.ask(), late.ask()
        assert left.candidate == right.candidate
        early.tell(left.index, toy_scores(left.candidate.body, 0))


@every
def test_order_completion_counts_what_is_under_way(name: str) -> None:
    run = engine(name, window=3, order="completion")
    for _ in range(3):
        run.ask()
    with pytest.raises(OrderError, match="fewer than 3 candidates under way; 3 are"):
        run.ask()
    run.tell(2, {})
    assert run.ask().index == 3


@every
def test_misuse_is_named(name: str) -> None:
    run = engine(name)
    with pytest.raises(OrderError, match="only 0 asks have been made"):
        run.tell(0, {})
    run.ask()
    run.tell(0, {})
    with pytest.raises(OrderError, match="told before"):
        run.tell(0, {})


@every
def test_failures_do_not_stop_it(name: str) -> None:
    run = engine(name, window=1)
    digests = set()
    for index in range(60):
        proposal = run.ask()
        run.tell(index, {} if index % 3 == 0 else toy_scores(proposal.candidate.body, 0))
        digests.add(proposal.candidate.digest)
    assert (run.asked, run.told) == (60, 60)
    assert len(digests) == 60, "a failure is not asked again"


@every
def test_an_exhausted_space_says_so(name: str) -> None:
    run = engine(name, window=1, space=ToySpace(budget=1), tries=2000)
    with pytest.raises(  # noqa: PT012 how many can be asked depends on the algorithm
        SpaceExhaustedError, match=r"2000 tries gave none \(rejected: over budget: params"
    ) as caught:
        for _ in range(8):  # there are seven networks: one of six places holds the one, or none does
            run.tell(run.ask().index, {"vkdnw": 1.0})
    assert isinstance(caught.value, InputError)


def test_unknown_windows_and_orders_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        engine("walk", window=0)
    with pytest.raises(ValueError, match="got 'sideways'"):
        engine("walk", order="sideways")


ONE = Objective("one", (("aleph",),))


class Line:
    """A space with one direction: child = parent + 1, so that the lineage shows who was a parent."""

    def starts(self) -> list[Candidate]:
        return [self._at(0)]

    def _at(self, place: int, parent: str | None = None) -> Candidate:
        return Candidate(f"{place:064x}", place, {}, parent, None)

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        return self._at(100 * (parent.body + 1) + rng.randrange(100), parent.digest)

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        return self._at(rng.randrange(1 << 40))


def parents(name: str, scores: list[float | None], **options: int) -> list[int | None]:
    """Tell these scores with window 1; gives, for each ask, the index of its parent."""
    run = make(name, Line(), ONE, seed=0, window=1, options=options)  # type: ignore[arg-type]
    index_of: dict[str, int] = {}
    result: list[int | None] = []
    for index, score in enumerate([*scores, None]):
        proposal = run.ask()
        index_of[proposal.candidate.digest] = index
        parent = proposal.candidate.parent
        result.append(None if parent is None else index_of[parent])
        run.tell(index, {} if score is None else {"aleph": score})
    return result


def test_walk_moves_when_the_child_ranks_higher_and_stays_on_ties() -> None:
    assert parents("walk", [1.0, 0.5, 2.0, 2.0, 3.0, None]) == [None, 0, 0, 2, 2, 4, 4]


def test_walk_leaves_a_failed_start() -> None:
    assert parents("walk", [None, None, 1.0]) == [None, 0, 0, 2]


def test_evolution_keeps_the_best_and_the_older_of_equals() -> None:
    assert set(parents("evolution", [5.0, 1.0, 2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0], population=2)[4:]) == {0, 2}


@pytest.mark.parametrize("name", ["evolution", "aging_evolution", "pareto"])
def test_a_window_beyond_the_population_draws_parents_that_nobody_has_scored_yet(name: str) -> None:
    """Else all its asks are neighbours of the starts, of which there are only so many."""
    asked = [(digest, parent) for digest, parent, _ in trace(engine(name, window=300), 400, min)]
    blind = {parent for _, parent in asked[8:300]}
    assert blind <= {digest for digest, _ in asked[:300]}
    assert len(blind) > 100
    samples = [ToySpace().starts()[0].digest] if name == "aging_evolution" else []  # what its first parents come from
    assert {parent for _, parent in asked[301:330]} <= {asked[index][0] for index in range(30)} | set(samples)
    assert trace(engine(name, window=300), 400, max)[:300] == trace(engine(name, window=300), 400, min)[:300]


@pytest.mark.parametrize("name", ["evolution", "aging_evolution"])
@pytest.mark.parametrize("order", ["ask", "completion"])
def test_a_window_up_to_the_population_never_draws_an_unscored_parent(name: str, order: str) -> None:
    run, told = engine(name, window=8, order=order), set[str | None]()
    under_way = []
    for _ in range(100):
        while run.ready():
            under_way.append(run.ask())
            assert under_way[-1].candidate.parent in told | {None, ToySpace().starts()[0].digest}
        proposal = under_way.pop(0)
        told.add(proposal.candidate.digest)
        run.tell(proposal.index, toy_scores(proposal.candidate.body, 0))


def test_evolution_never_draws_a_failed_parent() -> None:
    assert set(parents("evolution", [1.0, None, None, None, None], population=4)[1:]) == {0}


def test_aging_evolution_lets_the_oldest_go_however_good() -> None:
    asked = parents("aging_evolution", [9.0, 1.0, 1.0, 1.0, 1.0, 1.0], population=2, tournament=50)
    assert asked[:2] == [None, None]
    assert asked[2] == 0  # the best of the full queue
    assert 0 not in asked[3:]  # gone, though nobody was better
    assert asked[3:] == [1, 2, 3, 4]  # equals: the older


def test_random_search_has_no_parents_but_starts() -> None:
    assert {parent for _, parent, _ in trace(engine("random"), 50, min)} == {ToySpace().starts()[0].digest}
