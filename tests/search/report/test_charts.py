"""Charts: ticks that can be read, axes that show the many, clouds that a browser can draw."""

import pytest

from search.report.data import read_run
from search.report.svg import readable_floor, tick_labels


def test_a_large_population_becomes_a_picture_within_the_chart(complete, monkeypatch):
    from search.report import figures

    run = read_run(complete)
    assert figures.population(run).count("data:image/png") == 1  # the colour bar
    assert "data:image/png" not in figures.scores_over_time(run)
    monkeypatch.setattr(figures, "RASTER_FROM", 10)
    assert figures.population(run).count("data:image/png") > 1
    assert "data:image/png" in figures.scores_over_time(run)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([12.15e6, 12.2e6, 12.25e6], ["12.15\u2009M", "12.20\u2009M", "12.25\u2009M"]),
        ([-8.015, -8.01], ["-8.015", "-8.010"]),
        ([0, 25, 50], ["0", "25", "50"]),
        ([8e6, 10e6], ["8\u2009M", "10\u2009M"]),
        ([5], ["5"]),
    ],
)
def test_ticks_that_differ_have_labels_that_differ(values: list[float], labels: list[str]) -> None:
    assert tick_labels(values) == labels


def test_hopeless_scores_do_not_press_the_others_into_a_line():
    usual = [-1.0, -1.5, -2.0, -2.5, -3.0]
    assert readable_floor(usual) == -3.0, "all are shown where all can be"
    assert readable_floor([*usual, -200.0]) == pytest.approx(-2.25 - 4 * 1.25)
    assert readable_floor([3.0, 3.0, 3.0]) == 3.0
    assert readable_floor([5.0, 5.0, 5.0, 1.0]) == 1.0, "the best is the median: nothing is left out"
