"""Networks that differ only in what acts in a training alone are one to scores."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

import proxies
import uninas
from uninas import edits
from uninas.analysis.unseen import UNSEEN, seen_digest
from uninas.compile import build
from uninas.graph import Architecture


def small(preset: str) -> Architecture:
    shape = {"widths": [32, 64, 96, 128], "depths": [1, 1, 1, 1], "stem": [8, 16]}
    return uninas.canonicalise(uninas.preset(preset, **shape, classes=10, input_size=(32, 32)))


def edited(network: Architecture, fragments: Sequence[str], seed: int, steps: int) -> Architecture:
    """The network after so many inserts of these fragments, none into an absent sub-block, which would bring its norm along."""
    rng, prior = random.Random(seed), {kind: float(kind == "insert") for kind in edits.PRIOR}
    words = edits.vocabulary(fragments)
    while steps:
        made = edits.mutate(network, rng, edits.Limits(), prior, words)
        if not isinstance(made, uninas.Rejection) and uninas.cost(made[0]).params == uninas.cost(network).params:
            network, steps = made[0], steps - 1
    return network


@pytest.mark.parametrize("preset", ["coatnet", "efficientnet"])
@pytest.mark.parametrize("seed", range(3))
def test_with_and_without_they_have_one_digest(preset: str, seed: int) -> None:
    plain = small(preset)
    assert seen_digest(plain) == plain.digest
    dropped = edited(plain, sorted(UNSEEN), seed, 4)
    assert dropped.digest != plain.digest
    assert seen_digest(dropped) == plain.digest
    changed = edited(dropped, ["gelu"], seed, 1)
    assert seen_digest(changed) not in (plain.digest, changed.digest)


@pytest.mark.slow
def test_no_score_tells_them_apart_beyond_rounding() -> None:
    torch.set_num_threads(1)
    plain = small("efficientnet")
    dropped = edited(plain, sorted(UNSEEN), 0, 3)
    names = ["vkdnw", "jacov", "expressivity", "flops", "aleph", "params"]
    one, other = (
        proxies.score(build(network, classes=10), names, input_shape=(3, 32, 32), batch=4, seed=0) for network in (plain, dropped)
    )
    assert {name: other[name] for name in names} == pytest.approx({name: one[name] for name in names}, rel=1e-4)
