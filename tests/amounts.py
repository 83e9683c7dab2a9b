"""How much of a test is done: all of it, or the eighth of it that `make test` waits for.

    @given(SEEDS)
    @examples(800)                      800 examples; 100 in the quick run
    for number in range(amount(2000)):  likewise

The quick run is the one that leaves out the tests marked slow (`-m "not slow"`). Every kind of fault that many examples find is
looked for with some of them. Parameters that are slow are marked one by one (`slow`).
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

_QUICK = "UNINAS_TESTS_QUICK"
LEAST = 6


def decide(markers: str) -> None:
    """Decide by the expression of markers that pytest was given, for this process and its children."""
    if "not slow" in markers:
        os.environ[_QUICK] = "1"


def quick() -> bool:
    """Whether this is the quick run."""
    return _QUICK in os.environ


def amount(whole: int) -> int:
    """So many, or an eighth of it and at least `LEAST` in the quick run."""
    return min(whole, max(LEAST, whole // 8)) if quick() else whole


def examples(whole: int) -> Any:
    """Decorate a property test that is to see so many examples, fewer in the quick run."""
    return settings(max_examples=amount(whole), deadline=None)


def slow(*values: Any) -> Any:
    """Mark one set of parameters as slow: `make test` leaves it out."""
    return pytest.param(*values, marks=pytest.mark.slow)
