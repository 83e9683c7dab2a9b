"""One conformance suite over every algorithm, then what is particular to each."""

import dataclasses
import hashlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.algorithms import ALGORITHMS, AskTell, OrderError, Reported, SpaceExhaustedError, make
from search.algorithms.candidate import Candidate, Rejected
from search.algorithms.evolution import Evolution
from search.ranking.objective import OBJECTIVES, Objective
from search.ranking.ranks import key
from search.testing import check_algorithm, trace
from tests.search.fakes import ToySpace, toy_scores
from uninas.errors import InputError

OBJECTIVE = OBJECTIVES["vkdnw_agg"]
OPTIONS: dict[str, dict[str, int | float]] = {
    "model": {"initial": 8, "looked_at": 8, "parents": 4, "memory": 40},
    "evolution": {"population": 8},
    "aging_evolution": {"population": 8, "tournament": 3},
    "pareto": {"population": 8},
}
# An algorithm with its options beyond the usual ones: the whole conformance suite runs over both.
VARIANTS = {
    "evolution crossed in niches": ("evolution", {"population": 8, "crossover": 0.5, "niche": 2}),
    "aging_evolution crossed": ("aging_evolution", {"population": 8, "tournament": 3, "crossover": 0.5}),
    "pareto crossed": ("pareto", {"population": 8, "crossover": 0.5}),
    "evolution striding": ("evolution", {"population": 8, "largest_stride": 8}),
    "aging_evolution striding": ("aging_evolution", {"population": 8, "tournament": 3, "largest_stride": 8}),
    "model striding": ("model", {"initial": 8, "looked_at": 8, "parents": 4, "memory": 40, "largest_stride": 8}),
    "pareto striding and crossed": ("pareto", {"population": 8, "crossover": 0.2, "largest_stride": 8}),
}
every = pytest.mark.parametrize("name", [*sorted(ALGORITHMS), *VARIANTS])


BEFORE_CROSSOVER = {"evolution": "b794e9bc8add408f", "aging_evolution": "65d455952e8595f1", "pareto": "8cc640a1c9ba297d"}
"""Of the first 120 digests of seed 0, as the program before crossover gave them."""


def engine(
    name: str, *, seed: int = 0, window: int = 4, order: str = "ask", space: ToySpace | None = None, tries: int = 10_000
) -> AskTell:
    algorithm, options = VARIANTS.get(name, (name, OPTIONS.get(name, {})))
    return make(algorithm, space or ToySpace(), OBJECTIVE, seed=seed, window=window, order=order, options=options, tries=tries)


@every
def test_it_keeps_the_contract(name: str) -> None:
    algorithm, options = VARIANTS.get(name, (name, OPTIONS.get(name, {})))
    check_algorithm(algorithm, options=options, asks=300)


@every
def test_another_seed_is_another_sequence(name: str) -> None:
    assert trace(engine(name, seed=1), 50, min) != trace(engine(name), 50, min)


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
    with pytest.raises(OrderError, match=r"ask 3: expected the results of asks 0 \.\. 0 first \(window 3\)"):
        run.ask()
    run.tell(1, {})
    run.tell(2, {})
    assert not run.ready()  # 0 is missing, and ask 3 must see it
    run.tell(0, {})
    assert run.ask().index == 3


@every
def test_order_completion_counts_what_is_under_way(name: str) -> None:
    run = engine(name, window=3, order="completion")
    for _ in range(3):
        run.ask()
    with pytest.raises(OrderError, match="fewer than 3 candidates in flight; 3 are"):
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
    with pytest.raises(OrderError, match="reported already"):
        run.tell(0, {})


@every
def test_an_exhausted_space_says_so(name: str) -> None:
    run = engine(name, window=1, space=ToySpace(budget=1), tries=2000)
    with pytest.raises(  # noqa: PT012 how many can be asked depends on the algorithm
        SpaceExhaustedError, match=r"\d+ tries gave none \(rejected: over budget: params"
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


# --- crossover ------------------------------------------------------------------------------------------------------------


CROSSING = ("evolution", "aging_evolution", "pareto")


def crossed(name: str, share: float, total: int = 400) -> int:
    """How many of so many candidates have two parents, each of them asked before."""
    options = {**OPTIONS[name], "crossover": share}
    run, told, count = make(name, ToySpace(), OBJECTIVE, seed=0, window=1, options=options), set[str](), 0
    for _ in range(total):
        proposal = run.ask()
        donor = (proposal.candidate.edit or {}).get("donor")
        assert donor is None or {donor, proposal.candidate.parent} <= told
        count += donor is not None
        told.add(proposal.candidate.digest)
        run.tell(proposal.index, toy_scores(proposal.candidate.body, 0))
    return count


@pytest.mark.parametrize("name", CROSSING)
def test_crossover_is_as_frequent_as_asked_for(name: str) -> None:
    """A child of two like parents is often one that was asked before, and one parent drawn twice has an edit."""
    assert crossed(name, 0.0) == 0
    assert 40 < crossed(name, 0.4) < crossed(name, 0.9) < 400


@pytest.mark.parametrize("name", CROSSING)
def test_a_space_that_cannot_cross_says_so(name: str) -> None:
    make(name, Line(), ONE, seed=0, options={"crossover": 0.0})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"crossover: expected 0 in a space that cannot combine two candidates; got 0\.5"):
        make(name, Line(), ONE, seed=0, options={"crossover": 0.5})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CROSSING)
def test_without_crossover_no_random_number_is_drawn_for_it(name: str) -> None:
    """What a seed found before there was crossover, it finds now."""
    digests = [digest for digest, _, _ in trace(engine(name), 120, min)]
    assert hashlib.sha256("".join(digests).encode()).hexdigest()[:16] == BEFORE_CROSSOVER[name]


# --- strides ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CROSSING)
def test_how_many_edits_a_child_has_follows_the_power_law(name: str) -> None:
    """Of 2 edits and of 3 there are fewer than of 1 as 2^-1.5 and 3^-1.5 say; a try that is rejected or known is drawn again."""
    options = {**OPTIONS[name], "largest_stride": 3}
    run, counts = make(name, Wide(), ONE, seed=0, window=1, options=options), Counter[int]()
    for _ in range(1500):
        proposal = run.ask()
        assert proposal.candidate.edit is not None or proposal.index == 0
        counts[(proposal.candidate.edit or {}).get("edits", 0)] += 1
        run.tell(proposal.index, {"aleph": 1.0})
    of_one, children = counts[1], counts[1] + counts[2] + counts[3]
    assert children >= 1490
    assert abs(of_one / children - 0.6471) < 0.05
    assert abs(counts[3] / children - 0.1245) < 0.04


@pytest.mark.parametrize("name", CROSSING)
def test_a_space_that_makes_one_edit_at_a_time_says_so(name: str) -> None:
    with pytest.raises(InputError, match=r"largest_stride: expected 1 in a space that makes one edit at a time; got 4"):
        make(name, Line(), ONE, seed=0, options={"largest_stride": 4})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"largest_stride: expected at most 64; got 1000000000"):
        make(name, ToySpace(), ONE, seed=0, options={"largest_stride": 1_000_000_000})


class Wide(ToySpace):
    """Networks without end: each step leads to another one, and none is rejected."""

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        return self.mutate(self.starts()[0], rng)

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        return self.stride(parent, rng, 1)

    def stride(self, parent: Candidate, rng: random.Random, edits: int) -> Candidate | Rejected:
        return dataclasses.replace(parent, digest=f"{rng.getrandbits(256):064x}", parent=parent.digest, edit={"edits": edits})


# --- niches ---------------------------------------------------------------------------------------------------------------


def reported(index: int, family: int, params: int, score: float) -> Reported:
    candidate = ToySpace().candidate([family, 0, 0, 0, 0, 0])
    candidate = dataclasses.replace(candidate, cost={"params": params, "macs": 1}, digest=f"{index:064x}")
    return Reported(index, candidate, (key(score),), candidate.cost)


def test_the_worst_of_a_full_niche_leaves_and_no_better_niche_pays_for_it() -> None:
    strategy = Evolution(ToySpace(), ONE, population=4, max_per_niche=2)

    def survivors() -> set[int]:
        return {int(candidate.digest, 16) for candidate in strategy.survivors}

    for index, (family, params, score) in enumerate([(0, 100, 5.0), (0, 101, 6.0), (1, 100, 1.0), (0, 102, 5.5)]):
        strategy.learn(reported(index, family, params, score))
    assert survivors() == {1, 2, 3}, "candidate 0 was one too many of its kind, though better than candidate 2"
    strategy.learn(reported(4, 0, 103, 5.5))
    assert survivors() == {1, 2, 3}, "of equals the older stays"
    strategy.learn(reported(5, 0, 300, 0.5))
    assert survivors() == {1, 2, 3, 5}, "another size is another niche"
    strategy.learn(reported(6, 1, 900, 0.7))
    assert survivors() == {1, 2, 3, 6}, "the population is the bound of all niches together"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([10, 20, 40]), st.integers(0, 9)), max_size=40), st.integers(1, 3))
def test_niches_are_never_too_full_and_each_keeps_its_best(rows: list[tuple[int, int, int]], most: int) -> None:
    strategy = Evolution(ToySpace(), ONE, population=50, max_per_niche=most)
    kinds: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for index, (family, params, score) in enumerate(rows):
        strategy.learn(reported(index, family, params, score))
        kinds.setdefault((family % 2, params), []).append((-score, index))
    expected = {index for members in kinds.values() for _, index in sorted(members)[:most]}
    assert {int(candidate.digest, 16) for candidate in strategy.survivors} == expected


def test_random_search_has_no_parents_but_starts() -> None:
    assert {parent for _, parent, _ in trace(engine("random"), 50, min)} == {ToySpace().starts()[0].digest}


def test_the_former_name_of_a_result_still_works() -> None:
    with pytest.warns(DeprecationWarning, match="called Reported now"):
        from search.algorithms import Told
    assert Told is Reported
