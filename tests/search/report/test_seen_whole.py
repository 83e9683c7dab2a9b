"""A run that has seen its whole space: the report and `uninas watch` call it finished, whatever it was given to evaluate."""

from pathlib import Path

import pytest

from search.monitor.follow import RunFollower
from search.report.data import read_run
from search.report.write import write_report
from tests.search.report.report_runs import CONFIG, make_run
from uninas.spaces.own import load as load_space

SPACE = """
from uninas import Architecture, Block, Stage
from uninas.networks.presets import resnet_block, zero
from uninas.spaces import Product


def network(genotype, classes, input_size):
    block = Block((resnet_block(), zero()))
    stages = tuple(Stage(genotype["width"], (block,) * depth) for depth in (1, 1, genotype["depth"], 1))
    return Architecture(stages, classes, input_size, stem=(8, 8))


SPACE = Product(
    name="tiny",
    positions={"width": (8, 16, 24), "depth": (1, 2, 3)},
    network=network,
    legal=lambda genotype: "too large" if genotype == {"width": 24, "depth": 3} else None,
)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.py").write_text(SPACE, encoding="utf-8")
    text = CONFIG.replace(CONFIG.splitlines()[1], f"space: {{file: {folder / 'tiny.py'}}}").replace("layers: 60", "layers: 1000")
    return make_run(folder / "run", text=text)


def test_the_space_says_what_it_has(run: Path) -> None:
    space = load_space(run / "space.py")
    listed = list(space.every())  # type: ignore[attr-defined]
    assert len(listed) == 8
    assert listed[:2] == [{"width": 8, "depth": 1}, {"width": 8, "depth": 2}]


def test_the_report_calls_it_finished(run: Path) -> None:
    found = read_run(run)
    assert found.missing == []
    assert found.most == {"search": 8, "random": 8}
    page = write_report(run).read_text(encoding="utf-8")
    assert "it has seen all 8 candidates that the space has within the budget" in page
    assert "evaluations=80" not in page


def test_watching_it_sees_it_complete(run: Path) -> None:
    seen = RunFollower(run).look()
    info = read_run(run).info
    assert seen.totals == {"search": 8, "random": 8, "finalists": info["rescored"]}
    assert seen.as_dict()["left_seconds"] == 0.0
