"""What every algorithm and every space promises, as checks that anybody runs on their own.

    from search.testing import check_algorithm, check_choice_space, check_space

    check_algorithm("mine", options={"population": 8})      a registered algorithm, or a class that `register` would take
    check_space(space)                                      a space as the algorithms see it (`search.algorithms.candidate.Space`)
    check_choice_space(SPACE)                               a categorical space (`uninas.spaces.ChoiceSpace`)

A check raises AssertionError in one line; under `python -O`, which leaves assertions out, the import is refused.
Nothing here needs a test runner, torch or Ray.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import uninas
from search.algorithms import AskTell, SpaceExhaustedError, Strategy, make
from search.algorithms.candidate import Candidate, Featured, Rejected, Space, Striding
from search.ranking.objective import OBJECTIVES
from uninas.rejections import Reason
from uninas.spaces import ChoiceSpace
from uninas.spaces.choices import Listed

if not __debug__:  # every check would pass
    raise ImportError("search.testing: expected Python without -O and PYTHONOPTIMIZE, which leave out what the checks assert")

__all__ = ["OBJECTIVE", "DigitSpace", "check_algorithm", "check_choice_space", "check_space", "digit_scores", "trace"]

OBJECTIVE = OBJECTIVES["vkdnw_agg"]
"""By which the checks of algorithms rank: five columns of six raw scores, see `digit_scores`."""

PLACES, BASE = 6, 10


# --- a space without networks, for algorithms -------------------------------------------------------------------------------


@dataclass(frozen=True)
class DigitSpace:
    """Six digits whose sum is within `budget`; an edit changes one to three of them. It can combine two candidates, and stride.

    Attributes:
        budget: the largest sum, which is what `params` counts.
        salt: another salt is another space, in which the same digits have another digest.
    """

    budget: int = 40
    salt: str = ""

    def starts(self) -> Sequence[Candidate]:
        """Give six zeros."""
        return [self.candidate([0] * PLACES)]

    def candidate(self, digits: Sequence[int], parent: str | None = None, edit: Mapping[str, Any] | None = None) -> Candidate:
        """Make the candidate of these digits."""
        digest = hashlib.sha256(f"{self.salt}{list(digits)}".encode()).hexdigest()
        total = sum(digits)
        cost = {"params": total, "macs": 2 * total, "layers": digits[0], "attention_tokens": 0}
        return Candidate(digest, tuple(digits), cost, parent, edit)

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Try to change one to three digits."""
        changes = [[rng.randrange(PLACES), rng.randrange(BASE)] for _ in range(rng.randint(1, 3))]
        return self._step(parent, {"changes": changes})

    def cross(self, parent: Candidate, donor: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Try to take three digits of `donor`."""
        places = rng.sample(range(PLACES), 3)
        return self._step(parent, {"changes": [[place, donor.body[place]] for place in places], "donor": donor.digest})

    def stride(self, parent: Candidate, rng: random.Random, edits: int) -> Candidate | Rejected:
        """Try so many edits, one after the other."""
        current, changes = parent, list[list[int]]()
        for _ in range(edits):
            step = self.mutate(current, rng)
            if isinstance(step, Rejected):
                return step
            assert step.edit is not None
            current, changes = step, [*changes, *step.edit["changes"]]
        return self._step(parent, {"changes": changes, "edits": edits})

    def family(self, candidate: Candidate) -> str:
        """Name one of two kinds."""
        return "odd" if candidate.body[0] % 2 else "even"

    def features(self, candidate: Candidate) -> NDArray[np.float64]:
        """Give the digits."""
        return np.array(candidate.body, dtype=np.float64)

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        """Try six random digits."""
        digits = [rng.randrange(BASE) for _ in range(PLACES)]
        return self._within(self.candidate(digits, self.starts()[0].digest, {"digits": digits}))

    def replay(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate:
        """Apply an edit again."""
        if "digits" in edit:
            return self.candidate(edit["digits"], parent.digest, edit)
        child = self._step(parent, edit)
        assert isinstance(child, Candidate)
        return child

    def text(self, candidate: Candidate) -> str:
        """Write the digits."""
        return json.dumps({"digits": candidate.body})

    def document(self, candidate: Candidate, metadata: Mapping[str, Any]) -> str:
        """Write the digits with metadata."""
        return json.dumps({"digits": candidate.body, "metadata": metadata})

    def _step(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate | Rejected:
        digits = list(parent.body)
        for place, digit in edit["changes"]:
            digits[place] = digit
        if tuple(digits) == parent.body:
            return Rejected(Reason.NO_CHANGE)
        return self._within(self.candidate(digits, parent.digest, edit))

    def _within(self, candidate: Candidate) -> Candidate | Rejected:
        return candidate if candidate.cost["params"] <= self.budget else Rejected(Reason.OVER_BUDGET_PARAMS)


def digit_scores(digits: Sequence[int], seed: int) -> dict[str, float]:
    """Give raw scores of a candidate of `DigitSpace`, all different functions of digits and seed."""
    noise = random.Random(f"{list(digits)}{seed}")
    return {
        "aleph": float(digits[0] + digits[1]),
        "vkdnw": sum((place + 1) * digit for place, digit in enumerate(digits)) / 100 + noise.random() / 10,
        "jacov": -abs(sum(digits) - 25) + noise.random(),
        "expressivity": digits[3] * digits[4] / 10 + noise.random() / 5,
        "trainability": -float(digits[5]) + noise.random(),
        "flops": float(2 * sum(digits)),
    }


# --- algorithms -------------------------------------------------------------------------------------------------------------


def check_algorithm(
    algorithm: str | Callable[..., Strategy], *, options: Mapping[str, int | float] | None = None, asks: int = 200
) -> None:
    """Check that an algorithm keeps the contract of `search.algorithms.asktell`, on `DigitSpace`.

    What ask k proposes follows from the seed and the tells 0 .. k - window alone: neither the order in which results are told nor
    the length of the search matters. Candidates are of the space, and within the budget; failures do not stop it, and a
    space without new candidates ends in `SpaceExhaustedError`.

    Args:
        algorithm: the name of one, or a class or function that `search.algorithms.register` would take.
        options: of the algorithm.
        asks: how long a search to try.

    Raises:
        AssertionError: one of it does not hold.
    """
    name = algorithm if isinstance(algorithm, str) else getattr(algorithm, "__name__", "algorithm")

    def engine(*, window: int = 4, budget: int = 40, tries: int = 10_000) -> AskTell:
        space = DigitSpace(budget)
        if isinstance(algorithm, str):
            return make(algorithm, space, OBJECTIVE, seed=0, window=window, options=options, tries=tries)
        strategy = algorithm(space, OBJECTIVE, **(options or {}))
        return AskTell(strategy, OBJECTIVE, seed=0, phase="search", window=window, tries=tries, space=space)

    _check_order(name, engine, asks)
    _check_window(name, engine)
    _check_budget(name, engine)
    _check_failures(name, engine)
    _check_exhausted(name, engine)


Engine = Callable[..., AskTell]


def trace(run: AskTell, total: int, pick: Callable[[list[int]], int]) -> list[tuple[str, str | None, int]]:
    """Ask a run of `DigitSpace` as often as its window allows, and tell in the order that `pick` chooses.

    Returns:
        for each ask the candidate's digest, its parent's, and how many duplicates came before it.
    """
    asked: list[tuple[str, str | None, int]] = []
    under_way: dict[int, Candidate] = {}
    while len(asked) < total or under_way:
        while len(asked) < total and run.ready():
            proposal = run.ask()
            asked.append((proposal.candidate.digest, proposal.candidate.parent, proposal.duplicates))
            under_way[proposal.index] = proposal.candidate
        index = pick(sorted(under_way))
        run.tell(index, digit_scores(under_way.pop(index).body, 0))
    return asked


def _check_order(name: str, engine: Engine, asks: int) -> None:
    first = trace(engine(), asks, lambda waiting: waiting[0])
    for order, pick in (("last first", lambda waiting: waiting[-1]), ("shuffled", random.Random(7).choice)):
        found = trace(engine(), asks, pick)
        place = next((place for place, (one, other) in enumerate(zip(first, found, strict=True)) if one != other), None)
        assert place is None, f"{name}: expected the same asks whatever the order of the tells, got another at {place} ({order})"
    assert trace(engine(), asks // 3, max) == first[: asks // 3], (
        f"{name}: expected the first {asks // 3} asks not to depend on how long the search is, got others"
    )
    digests = [digest for digest, _, _ in first]
    assert len(set(digests)) == asks, f"{name}: expected every network once, got {asks - len(set(digests))} again"


def _check_window(name: str, engine: Engine) -> None:
    """Ask k sees the tells 0 .. k - W: a later tell, known early, must not matter."""
    window = 6
    early, late = engine(window=window), engine(window=window)
    for _ in range(window):
        early.ask()
        late.ask()
    for index in range(window):
        early.tell(index, digit_scores(early.pending(index).body, 0))
    for ask in range(window, 40):
        late.tell(ask - window, digit_scores(late.pending(ask - window).body, 0))
        left, right = early.ask(), late.ask()
        assert left.candidate == right.candidate, (
            f"{name}: expected ask {ask} to see the tells 0 .. {ask - window} alone, got more"
        )
        early.tell(left.index, digit_scores(left.candidate.body, 0))


def _check_budget(name: str, engine: Engine) -> None:
    run = engine(budget=12)
    for _ in range(100):
        proposal = run.ask()
        params = proposal.candidate.cost["params"]
        assert params <= 12, f"{name}: expected candidates of the space, within its budget of 12, got one of {params}"
        run.tell(proposal.index, digit_scores(proposal.candidate.body, 0))


def _check_failures(name: str, engine: Engine) -> None:
    run, digests = engine(window=1), set()
    for index in range(60):
        proposal = run.ask()
        run.tell(index, {} if index % 3 == 0 else digit_scores(proposal.candidate.body, 0))
        digests.add(proposal.candidate.digest)
    assert len(digests) == 60, f"{name}: expected 60 networks beside failures, got {len(digests)}"


def _check_exhausted(name: str, engine: Engine) -> None:
    run, asked = engine(window=1, budget=1, tries=2000), 0
    try:
        for _ in range(8):  # there are seven networks: one of six places holds the one, or none does
            run.tell(run.ask().index, {"vkdnw": 1.0})
            asked += 1
    except SpaceExhaustedError:
        return
    raise AssertionError(f"{name}: expected at most 7 networks of a space that has no more, got {asked}")


# --- spaces -----------------------------------------------------------------------------------------------------------------


def check_space(space: Space, *, steps: int = 12, seed: int = 0) -> None:
    """Check that a space of architectures keeps the contract of `search.algorithms.candidate.Space`.

    Its randomness is `rng` alone; a child is made again from the JSON of its edit, with the same text and cost; its texts are
    those of its digest. Where it describes candidates by numbers, these are finite, and equally many for each. Where it goes
    several edits at once, the edit of what is reached leads there from the parent.

    Raises:
        AssertionError: one of it does not hold.
    """
    starts = space.starts()
    assert starts, "starts: expected one at least, got none"
    assert _walk(space, steps, seed) == _walk(space, steps, seed), "mutate, sample: expected the same of the same rng, got others"
    rng, current = random.Random(seed), starts[0]
    for step in range(steps):
        child, parent = _child(space, current, starts[0], rng, sample=step % 4 == 0)
        assert child.parent == parent.digest, f"step {step}: expected the parent {parent.digest[:12]}, got {child.parent}"
        again = space.replay(parent, json.loads(json.dumps(child.edit)))
        assert again.digest == child.digest, f"replay: expected {child.digest[:12]} of its edit, got {again.digest[:12]}"
        assert (space.text(again), again.cost) == (space.text(child), child.cost), "replay: expected the same text and cost"
        for text in (space.text(child), space.document(child, {"place": 1})):
            network = uninas.parse(text)
            assert network.digest == child.digest, f"text: expected the network {child.digest[:12]}, got {network.digest[:12]}"
        assert json.loads(space.document(child, {"place": 1}))["metadata"]["place"] == 1, "document: expected the metadata in it"
        if isinstance(space, Featured):
            _check_features(space.features(child), space.features(again), space.features(starts[0]))
        if isinstance(space, Striding):
            _check_stride(space, space, child, rng)
        current = child


def _check_stride(space: Space, striding: Striding, parent: Candidate, rng: random.Random) -> None:
    reached = striding.stride(parent, rng, 3)
    if isinstance(reached, Rejected):
        return
    assert reached.parent == parent.digest, f"stride: expected the parent {parent.digest[:12]}, got {reached.parent}"
    again = space.replay(parent, json.loads(json.dumps(reached.edit)))
    assert again.digest == reached.digest, f"stride: expected {reached.digest[:12]} of its edit, got {again.digest[:12]}"


def _check_features(child: NDArray[np.float64], again: NDArray[np.float64], start: NDArray[np.float64]) -> None:
    assert child.shape == start.shape, f"features: expected as many as of the start, {start.shape}, got {child.shape}"
    assert np.isfinite(child).all(), "features: expected finite numbers, got others"
    assert np.array_equal(child, again), "features: expected the same of the same network, got others"


def _walk(space: Space, steps: int, seed: int) -> list[str]:
    rng, start = random.Random(seed), space.starts()[0]
    current, found = start, []
    for step in range(steps):
        current, _ = _child(space, current, start, rng, sample=step % 4 == 0)
        found.append(current.digest)
    return found


def _child(
    space: Space, current: Candidate, start: Candidate, rng: random.Random, *, sample: bool, tries: int = 1000
) -> tuple[Candidate, Candidate]:
    """Give a candidate, and the one that it says to be made from; rejected tries are repeated."""
    for _ in range(tries):
        child = space.sample(rng) if sample else space.mutate(current, rng)
        if isinstance(child, Candidate):
            starts = {one.digest: one for one in space.starts()}
            return child, starts.get(child.parent or "", start) if sample else current
    raise AssertionError(f"{'sample' if sample else 'mutate'}: expected a candidate, got {tries} rejections")


def check_choice_space(space: ChoiceSpace, *, samples: int = 25, seed: int = 0) -> None:
    """Check that a categorical space keeps the contract of `uninas.spaces.ChoiceSpace`.

    Samples and their neighbours are legal JSON data that come back from their text; a neighbour is another genotype, and its
    parent is left as it was; a network has the classes and the size that were asked for, and comes back from its text. Where the
    space lists its genotypes, they are legal, each comes once, and always in the same order.

    Raises:
        AssertionError: one of it does not hold.
    """
    rng = random.Random(seed)
    genotypes = [space.start(), *(space.sample(rng) for _ in range(samples))]
    again = random.Random(seed)
    assert genotypes[1:] == [space.sample(again) for _ in range(samples)], "sample: expected the same of the same rng, got others"
    for genotype in genotypes:
        _check_genotype(space, genotype)
        before = copy.deepcopy(genotype)
        child = space.mutate(genotype, rng)
        assert genotype == before, f"mutate: expected its argument to be left as it was, got {genotype} for {before}"
        assert child != genotype, f"mutate: expected another genotype, got {child} again"
        _check_genotype(space, child)
    if isinstance(space, Listed):
        _check_listed(space, space.fault)


def _check_listed(space: Listed, legal: Callable[[Any], str | None], first: int = 200) -> None:
    found, again = space.every(), space.every()
    if found is None or again is None:
        return
    genotypes = list(itertools.islice(found, first))
    assert genotypes == list(itertools.islice(again, first)), "every: expected the same order each time, got another"
    texts = {json.dumps(genotype, sort_keys=True) for genotype in genotypes}
    assert len(texts) == len(genotypes), f"every: expected each genotype once, got {len(genotypes) - len(texts)} again"
    for genotype in genotypes:
        assert legal(genotype) is None, f"every: expected legal genotypes, got {genotype}: {legal(genotype)}"


def _check_genotype(space: ChoiceSpace, genotype: Any) -> None:
    fault = space.fault(genotype)
    assert fault is None, f"fault: expected None for {genotype}, got '{fault}'"
    assert json.loads(json.dumps(genotype)) == genotype, f"expected plain JSON data, got {genotype!r}"
    text = space.text(genotype)
    assert "\n" not in text, f"text: expected one line, got {text!r}"
    assert space.parse(text) == genotype, f"parse: expected {genotype} of '{text}', got {space.parse(text)}"
    network = space.build(genotype, 7, (64, 32))
    assert (network.classes, network.input_size) == (7, (64, 32)), (
        f"build: expected 7 classes at (64, 32), got {network.classes} at {network.input_size}"
    )
    assert uninas.parse(uninas.to_text(network)) == network, f"build: expected a network that its text gives back, of {text}"
