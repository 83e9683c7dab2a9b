"""Pages with few resamples: their intervals are held against closed forms elsewhere (tests/search/ranking)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from search.bench.page import derived


@pytest.fixture(scope="package", autouse=True)
def few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derived, "RESAMPLES", 5)
        yield
