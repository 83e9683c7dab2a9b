"""What a run says of a window that does not suit its workers."""

from pathlib import Path

import pytest

from search.config.warnings import window_warnings
from tests.search.conftest import Notes, run_toy


@pytest.mark.parametrize(
    ("workers", "window", "order", "evaluations", "expected"),
    [
        (8, 8, "ask", 100, []),
        (64, 640, "ask", 10_000, []),
        (64, 64, "completion", 10_000, []),
        (9, 8, "completion", 100, ["9 workers, but a window of 8: more than 8 are never busy: raise window to 9"]),
        (9, 8, "ask", 100, ["in ask order far fewer: raise window to workers x longest / mean time, or set order=completion"]),
        (64, 128, "ask", 10_000, ["a window of 128 in ask order: all wait for a candidate of 2.0 times the mean time"]),
        (8, 128, "ask", 128, ["a window of 128 and 128 evaluations: none is asked after a result was seen"]),
        (1, 1, "ask", 1, []),
    ],
)
def test_warnings(workers: int, window: int, order: str, evaluations: int, expected: list[str]) -> None:
    warnings = window_warnings(workers, window, order, evaluations)
    assert window_warnings(workers, window, order, evaluations, learns=False) == [w for w in warnings if "none is asked" not in w]
    assert len(warnings) == len(expected)
    for warning, text in zip(warnings, expected, strict=True):
        assert text in warning


def test_a_run_tells_its_warnings(tmp_path: Path) -> None:
    notes = Notes()
    run_toy(tmp_path / "run", "evaluations=8", "window=8", view=notes.view)
    assert "warning: a window of 8 and 8 evaluations: none is asked after a result was seen" in notes.notes
