"""Pages with few resamples, as for the tests of the bench."""

from tests.search.bench.conftest import few_resamples

__all__ = ["few_resamples"]
