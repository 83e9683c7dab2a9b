"""Edit walks: every network that an edit makes is a network, in every respect that can be checked."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.examples import disguised_network, graphs_of, small, tiny, walk, walked
from tests.uninas.running import MacCounter, executed_macs, noise
from uninas import (
    PRESETS,
    Edit,
    InputError,
    Rejection,
    apply,
    canonicalise,
    cost,
    parse,
    parse_graph,
    propose,
    to_text,
    warnings_of,
)
from uninas.compile.module import build
from uninas.edits import REASONS

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
@examples(1500)
def test_every_step_is_canonical_replayable_and_survives_its_text(seed: int) -> None:
    rng = random.Random(seed)
    start = small(rng.choice(sorted(PRESETS)))
    for step in walk(start, rng, rng.randrange(1, 7)):
        if isinstance(step, Rejection):
            assert step.reason in REASONS
            assert step.detail
            continue
        parent, edit, child = step
        assert canonicalise(child) is child
        assert child.digest != canonicalise(parent).digest
        assert parse(to_text(child)) == child
        data = json.loads(json.dumps(edit.as_dict()))
        again = apply(parent, Edit.from_dict(data))
        assert again == child
        assert Edit.from_dict(data) == edit
        for stage, _, _, graph in graphs_of(child):
            graph.types(child.stages[stage].width)
            assert parse_graph(graph.text) == graph
        figures = cost(child)
        assert figures.params >= figures.trainable_params > 0


@given(SEEDS)
@examples(300)
def test_stored_forms_survive_their_text(seed: int) -> None:
    rng = random.Random(seed)
    stored, _ = disguised_network(walked(small(), rng, rng.randrange(4)), rng, rewrites=10)
    again = parse(to_text(stored, {"seed": seed, "note": "größer"}))
    assert again == stored
    assert cost(again) == cost(stored)


@given(SEEDS)
@examples(800)
def test_every_network_compiles_trains_and_executes_what_it_costs(seed: int) -> None:
    rng = random.Random(seed)
    network = canonicalise(walked(tiny(rng.choice(["ET", "TE", "RT", "TT", "E"])), rng, rng.randrange(1, 8)))
    module = build(network).train()
    assert sum(p.numel() for p in module.parameters()) == cost(network).params
    for size in ((23, 51), (44, 35)):
        counter = MacCounter()
        with counter:
            logits = module(noise(2, 3, *size, seed=seed))
        assert logits.shape == (2, network.classes)
        assert bool(logits.isfinite().all())
        assert counter.macs == 2 * cost(network, size).macs
        logits.square().sum().backward()
    missing = [name for name, p in module.named_parameters() if p.grad is None]
    assert not missing, "walks leave nothing that is never trained"
    assert executed_macs(build(network, fused=False), (23, 51)) == cost(network, (23, 51)).macs
    assert len(module.scoring_layers()) == cost(network).layers


@given(SEEDS)
@examples(15)
def test_networks_of_four_stages_train(seed: int) -> None:
    rng = random.Random(seed)
    network = walked(small(rng.choice(sorted(PRESETS))), rng, 20)
    module = build(network)
    for size in ((61, 70), (97, 45)):
        module(noise(2, 3, *size, seed=seed)).square().sum().backward()
        with torch.device("meta"):
            assert executed_macs(build(network, fused=False), size, device="meta") == cost(network, size).macs


def test_a_parent_is_left_as_it_was() -> None:
    parent = small()
    before = to_text(parent)
    list(walk(parent, random.Random(3), 50))
    assert to_text(parent) == before


def test_one_seed_is_one_walk() -> None:
    one, other = (walked(small(), random.Random(8), 60) for _ in range(2))
    assert one == other
    assert one.digest != walked(small(), random.Random(9), 60).digest


def test_the_global_generator_is_left_alone() -> None:
    random.seed(5)
    state = random.getstate()
    walked(small(), random.Random(1), 30)
    assert random.getstate() == state


@pytest.mark.parametrize("name", PRESETS)
def test_presets_warn_of_nothing_at_their_reference_size(name: str) -> None:
    assert warnings_of(small(name)) == []


@given(SEEDS)
@examples(200)
def test_walks_make_nothing_meaningless(seed: int) -> None:
    """Small enough for pooled, one-pixel and one-entry maps to come up all the time."""
    rng = random.Random(seed)
    end = walked(tiny("EEE", size=(16, 24)), rng, 15)
    known = set(warnings_of(canonicalise(tiny("EEE", size=(16, 24)))))
    assert not [w for w in warnings_of(end) if w.split(", ", 2)[2] not in {k.split(", ", 2)[2] for k in known}]


@given(SEEDS)
@examples(100)
def test_edits_fit_only_where_they_fit(seed: int) -> None:
    """An edit of one network, applied to another, gives a network, a rejection or InputError."""
    rng = random.Random(seed)
    one, other = walked(small("coatnet"), rng, 6), walked(small("vit"), rng, 6)
    edit = propose(one, rng)
    if isinstance(edit, Edit):
        with contextlib.suppress(InputError):
            result = apply(other, edit)
            assert isinstance(result, Rejection) or canonicalise(result) is result
