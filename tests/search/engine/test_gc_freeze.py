"""Python's collector and what a search keeps: looked at once; and candidates are freed without it."""

from __future__ import annotations

import gc
import random
import weakref

import pytest

from search.algorithms.candidate import Candidate
from search.config import loading
from search.engine.gc_freeze import looked_at_once
from search.spaces.from_config import from_config
from tests.search.conftest import ROOT


class Thing:
    """Something that can be part of a cycle."""

    other: Thing | None = None


def pair() -> tuple[Thing, weakref.ref[Thing]]:
    one, two = Thing(), Thing()
    one.other, two.other = two, one
    return one, weakref.ref(one)


def test_what_survived_a_pass_is_left_out_of_the_next_and_found_after_the_end() -> None:
    before = gc.get_freeze_count()
    kept, seen = pair()
    with looked_at_once():
        gc.collect()
        assert gc.get_freeze_count() > before
        del kept
        gc.collect()
        assert seen() is not None  # not looked at again
        young, young_seen = pair()
        del young
        gc.collect()
        assert young_seen() is None  # new ones are
    assert gc.get_freeze_count() == before
    gc.collect()
    assert seen() is None
    assert not any(getattr(call, "__module__", "") == "search.engine.gc_freeze" for call in gc.callbacks)


@pytest.mark.parametrize("name", ["uninas_30m_agg", "demo"])
def test_candidates_are_freed_without_the_collector(name: str) -> None:
    """Cycles among what a candidate's graphs remember would wait for its full passes."""
    space, rng = from_config(loading.load(ROOT / "configs" / "search" / f"{name}.yaml")), random.Random(0)

    def walk(steps: int) -> None:
        candidate = space.starts()[0]
        while steps:
            child = space.mutate(candidate, rng)
            if isinstance(child, Candidate):
                space.text(child)
                candidate, steps = child, steps - 1

    walk(5)
    gc.collect()
    gc.disable()
    try:
        walk(50)
        assert gc.collect() < 50  # one self-reference a candidate were 50 and more
    finally:
        gc.enable()
