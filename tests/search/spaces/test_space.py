"""The real space behind the search: budgets before torch, replayable edits, starts that break their budget."""

import dataclasses
import itertools
import json
import random
import subprocess
import sys
from collections import Counter

import pytest

import uninas
from search.algorithms import SpaceExhaustedError, make
from search.algorithms.candidate import Candidate, Rejected
from search.config import loading
from search.spaces import graph_space
from search.spaces.budget import BUDGETED
from search.spaces.from_config import from_config
from search.spaces.graph_space import GraphSpace
from search.testing import OBJECTIVE
from tests.amounts import amount
from uninas.errors import InputError
from uninas.rejections import Reason

SMALL = """
space: {preset: coatnet, widths: [16, 32, 32, 64], depths: [1, 1, 1, 1], random_edits: 8}
size: 64
classes: 10
budget: {params: 140000, macs: 26000000, layers: 34, attention_tokens: 64}
"""


@pytest.fixture(scope="module")
def space() -> GraphSpace:
    return from_config(loading.parse(SMALL))


def walk(space: GraphSpace, steps: int, seed: int = 0) -> tuple[list[Candidate], list[Rejected]]:
    rng, chain, refused = random.Random(seed), [space.starts()[0]], []
    while len(chain) < steps:
        step = space.mutate(chain[-1], rng)
        if isinstance(step, Rejected):
            refused.append(step)
        else:
            chain.append(step)
    return chain, refused


def test_a_walk_stays_within_the_budget_and_is_replayed_without_randomness(space: GraphSpace) -> None:
    settings = loading.parse(SMALL)
    chain, refused = walk(space, 120)
    assert {item.reason for item in refused} & {f"over budget: {name}" for name in BUDGETED}
    for parent, child in itertools.pairwise(chain):
        assert child.parent == parent.digest
        assert child.cost == uninas.cost(child.body, (64, 64)).as_dict()
        assert all(child.cost[name] <= getattr(settings.budget, name) for name in BUDGETED)
        assert child.edit is not None
        assert space.replay(parent, child.edit).digest == child.digest
        assert uninas.parse(space.text(child)).digest == child.digest


def test_samples_are_replayed_too_and_count_what_was_refused_on_the_way(space: GraphSpace) -> None:
    rng, start, refused = random.Random(1), space.starts()[0], 0
    for _ in range(20):
        sample = space.sample(rng)
        assert isinstance(sample, Candidate)
        assert sample.parent == start.digest
        assert sample.edit is not None
        assert 1 <= len(sample.edit["edits"]) <= 8
        assert space.replay(start, sample.edit).digest == sample.digest
        refused += sum(sample.rejected.values())
    assert refused


GRAMMAR = SMALL.replace("random_edits: 8", "random_edits: 3, sampler: grammar, vocabulary: uninas")


def test_a_sample_of_the_grammar_carries_its_network_and_is_replayed() -> None:
    settings = loading.parse(GRAMMAR)
    space, rng = from_config(settings), random.Random(2)
    start, families, counts, rejected = space.starts()[0], set(), set(), 0
    while len(families) < 6:
        sample = space.sample(rng)
        if isinstance(sample, Rejected):
            rejected += 1
            continue
        assert sample.parent == start.digest
        assert sample.edit is not None
        edit = json.loads(json.dumps(sample.edit))
        assert space.replay(start, edit).digest == sample.digest
        assert all(sample.cost[name] <= getattr(settings.budget, name) for name in BUDGETED)
        assert (sample.body.classes, sample.body.input_size) == (10, (64, 64))
        families.add(space.family(sample))
        counts.add(len(edit["edits"]))
    assert counts == {0, 1, 2, 3}
    assert rejected < 60


def test_one_seed_is_one_sample_and_another_seed_another() -> None:
    space = from_config(loading.parse(GRAMMAR))
    digests = [[getattr(space.sample(random.Random(seed)), "digest", "") for seed in range(12)] for _ in range(2)]
    assert digests[0] == digests[1]
    assert len(set(digests[0]) - {""}) > 8


def test_a_child_of_two_parents_is_within_the_budget_and_replayed_of_one(space: GraphSpace) -> None:
    others, rng = from_config(loading.parse(GRAMMAR)), random.Random(5)
    parents: list[Candidate] = []
    while len(parents) < 12:
        sample = others.sample(rng)
        parents += [sample] if isinstance(sample, Candidate) else []
    kinds, reasons = set(), set()
    for _ in range(amount(120)):
        one, other = rng.sample(parents, 2)
        child = space.cross(one, other, rng)
        if isinstance(child, Rejected):
            reasons.add(child.reason)
            continue
        assert child.edit is not None
        assert (child.parent, child.edit["donor"]) == (one.digest, other.digest)
        assert all(child.cost[name] <= getattr(loading.parse(SMALL).budget, name) for name in BUDGETED)
        assert space.replay(one, json.loads(json.dumps(child.edit))).digest == child.digest
        kinds.add(child.edit["kind"])
    assert kinds == {"crossover", "crossover_stage"}
    assert reasons & {f"over budget: {name}" for name in BUDGETED}


def test_a_stride_is_as_many_edits_as_asked_for_and_replayed_of_its_parent(space: GraphSpace) -> None:
    rng, parent, made = random.Random(3), space.starts()[0], Counter[int]()
    for step in range(amount(40)):
        edits = 1 + step % 5
        child = space.stride(parent, rng, edits)
        while edits == 1 and isinstance(child, Rejected):  # of several, a rejected edit is drawn again
            child = space.stride(parent, rng, edits)
        assert isinstance(child, Candidate)
        assert child.edit is not None
        assert child.parent == parent.digest
        assert len(child.edit.get("edits", [child.edit])) == edits
        assert all(child.cost[name] <= getattr(loading.parse(SMALL).budget, name) for name in BUDGETED)
        assert space.replay(parent, json.loads(json.dumps(child.edit))).digest == child.digest
        made[edits] += 1
        parent = child
    assert all(made[edits] for edits in range(1, 6))


def test_the_order_of_a_configuration_does_not_matter() -> None:
    """Neither of a prior's kinds nor of a vocabulary's words."""
    texts = (
        "vocabulary: [gelu, uninas, mask], prior: {fork: 9, insert: 1}",
        "vocabulary: [mask, uninas], prior: {insert: 1, fork: 9}",
    )
    one, other = (from_config(loading.parse(SMALL.replace("random_edits: 8", f"random_edits: 8, {text}"))) for text in texts)
    assert (
        walk(one, 30)[0][-1].digest == walk(other, 30)[0][-1].digest != walk(from_config(loading.parse(SMALL)), 30)[0][-1].digest
    )


def test_one_seed_one_walk_in_any_process(space: GraphSpace) -> None:
    """Python's own hash randomisation must not matter."""
    code = (
        "from tests.search.spaces.test_space import SMALL, walk; from search.config import loading;"
        "from search.spaces.from_config import from_config;"
        "print(walk(from_config(loading.parse(SMALL)), 60)[0][-1].digest)"
    )
    expected = walk(space, 60)[0][-1].digest
    for salt in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": salt, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == expected, done.stderr


def test_a_start_over_the_budget_says_which_bound_and_by_how_much() -> None:
    with pytest.raises(
        InputError, match=r"preset resnet: .*params 24,8\d\d,\d{3} > 1,000,000 \(by 23,8\d\d,\d{3}\), layers \d+ > 3"
    ):
        from_config(loading.parse("space: resnet\nbudget: {params: 1000000, layers: 3}"))


def test_a_file_as_start_takes_the_wanted_classes(tmp_path, space: GraphSpace) -> None:
    path = tmp_path / "mine.json"
    path.write_text(space.text(walk(space, 5)[0][-1]))
    start = from_config(loading.parse(f"space: {{architecture: {path}}}\nsize: 64\nclasses: 7")).starts()[0]
    assert start.body.classes == 7
    with pytest.raises(InputError, match=r"none\.json"):
        from_config(loading.parse(f"space: {{architecture: {tmp_path}/none.json}}"))


def test_metadata_is_no_part_of_the_architecture(space: GraphSpace) -> None:
    start = space.starts()[0]
    assert uninas.parse(space.document(start, {"place": 1})).digest == start.digest


@pytest.mark.parametrize("sampler", ["walk", "grammar"])
def test_what_no_score_sees_is_not_proposed_unless_it_is_asked_for(sampler: str) -> None:
    """The draws are the same ones: an edit that would insert it is rejected, and the next one is drawn."""
    found = {}
    for wanted in ("true", "false"):
        space = from_config(loading.parse(SMALL, [f"space.regularisers={wanted}", f"space.sampler={sampler}"]))
        made, reasons, rng = [], [], random.Random(3)
        while len(made) < 25:
            step = space.sample(rng)
            if isinstance(step, Rejected):
                reasons.append(step.reason)
            else:
                made.append(step)
                reasons += step.rejected
        found[wanted] = any("dropout" in space.text(one) or "drop_path" in space.text(one) for one in made), set(reasons)
    assert found["true"][0]
    assert not found["false"][0]
    assert Reason.UNSEEN not in found["true"][1]
    assert Reason.UNSEEN in found["false"][1]


def test_a_child_is_what_it_was_where_nothing_unseen_is_drawn() -> None:
    now, then = (from_config(loading.parse(SMALL, [f"space.regularisers={wanted}"])) for wanted in ("false", "true"))
    for seed in range(60):
        one, other = (space.mutate(space.starts()[0], random.Random(seed)) for space in (now, then))
        if one == Rejected(Reason.UNSEEN):
            assert isinstance(other, Candidate)
            assert other.edit is not None
            assert {other.edit.get("fragment"), str(other.edit.get("op")).partition("(")[0]} & {"dropout", "drop_path"}
        elif isinstance(one, Candidate):
            assert isinstance(other, Candidate)
            assert (one.digest, one.edit) == (other.digest, other.edit)
        else:
            assert one == other


def test_networks_that_differ_only_in_it_are_one_to_a_search(tmp_path) -> None:
    """A start with dropout: its child without it is a network that was asked before."""
    start = from_config(loading.parse(SMALL)).starts()[0]
    step = {"kind": "insert", "stage": 0, "block": 0, "sub": 0, "consumer": 1, "slot": 0, "fragment": "dropout"}
    dropped = uninas.edits.apply(start.body, uninas.edits.Edit.from_dict(step), uninas.edits.Limits())
    assert isinstance(dropped, uninas.Architecture)
    (tmp_path / "start.json").write_text(uninas.to_text(dropped))
    text = SMALL.replace(
        "preset: coatnet, widths: [16, 32, 32, 64], depths: [1, 1, 1, 1]", f"architecture: {tmp_path}/start.json"
    )
    asked = {}
    for wanted in ("false", "true"):
        space = from_config(loading.parse(text, [f"space.regularisers={wanted}"]))
        (begin,) = space.starts()
        assert begin.digest == dropped.digest
        assert begin.alike == (start.digest if wanted == "false" else None)
        run = make("walk", _Back(space, start.body), OBJECTIVE, seed=0, tries=3)
        run.tell(run.ask().index, {})
        try:
            asked[wanted] = run.ask().candidate.digest
        except SpaceExhaustedError as error:
            asked[wanted] = "duplicates: 6" in str(error)
    assert asked == {"false": True, "true": start.digest}


@dataclasses.dataclass
class _Back:
    """A space whose only neighbour of anything is one network."""

    space: GraphSpace
    network: uninas.Architecture

    def starts(self):
        return self.space.starts()

    def mutate(self, parent, rng):
        settings = self.space._settings
        return graph_space._candidate(self.network, settings, parent.digest, {})

    def sample(self, rng):
        return self.mutate(self.starts()[0], rng)
