"""What a user adds from a file: proxies, objectives and algorithms in a few lines, kept with the run and used by its resume."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from proxies import registry
from search.algorithms import ALGORITHMS
from search.config import loading
from search.config.schema import PoolConfig
from search.engine import driver, own_files
from search.workers import own_proxies
from search.workers.job import Job
from tests.search.conftest import Notes, records, stable
from tests.search.counted import counted_pool
from uninas.errors import InputError

PROXY = """\
import proxies
from torch import Tensor, nn


@proxies.register("mine", meaning="how many of its weights are large")
def mine(network: nn.Module, batch: Tensor, *, above: float = 0.1) -> float:
    return float(sum((weight.abs() > above).sum() for weight in network.parameters()))
"""

ALGORITHM = """\
from search.algorithms import register


@register("greedy", window=2, options={"patience": 3})
class Greedy:
    def __init__(self, space, objective, *, patience):
        self.space, self.best = space, None

    def propose(self, index, rng, unscored):
        return self.space.mutate(self.best.candidate if self.best else self.space.starts()[0], rng)

    def learn(self, told):
        self.best = told if self.best is None or told.keys > self.best.keys else self.best
"""

REST = """\
pool: {kind: serial}
size: 8
classes: 10
batch: 2
finalists: {count: 1, seeds: 1, controls: []}
"""


def new_process() -> None:
    """Forget what was registered, as another process would not know it."""
    registry._own.clear()
    own_proxies._loaded.clear()
    ALGORITHMS._added.clear()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user is, with files of their own."""
    monkeypatch.chdir(tmp_path)
    Path("my_scores.py").write_text(PROXY)
    Path("my_search.py").write_text(ALGORITHM)
    return tmp_path


def search(text: str, *overrides: str, folder: str = "run", pool: Any = counted_pool) -> dict[str, Any]:
    config = loading.parse(textwrap.dedent(text) + REST, overrides, source="it.yaml")
    return driver.begin(config, Path(folder), view=Notes().view, pool_maker=pool)


def resume(**overrides: int) -> dict[str, Any]:
    return driver.resume(Path("run"), overrides, view=Notes().view, pool_maker=counted_pool)


def fault(text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        search(text, *overrides, folder="faulty")
    assert "\n" not in str(caught.value)
    assert not Path("faulty").exists()
    return str(caught.value)


# --- proxies ----------------------------------------------------------------------------------------------------------------

WITH_PROXY = """
space: nats_bench_size
objective: {product: [flops, mine]}
proxies: {file: my_scores.py}
algorithm: random
evaluations: 3
"""


def test_a_proxy_of_seven_lines_is_searched_with_in_five(place: Path) -> None:
    found = search(WITH_PROXY, pool=driver.make_pool)
    assert found["objective"] == "flops x mine"
    assert found["best"]["mean"]["mine"] > 0
    assert Path("run/proxies.py").read_text() == PROXY
    assert json.loads(Path("run/best.json").read_text())["metadata"]["objective"] == "flops x mine"


def test_a_resume_runs_the_runs_own_copy(place: Path) -> None:
    search(WITH_PROXY)
    whole, journal = stable(Path("run")), Path("run/journal.jsonl")
    Path("my_scores.py").unlink()
    new_process()
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    resume()
    assert stable(Path("run")) == whole
    Path("run/proxies.py").unlink()
    new_process()
    with pytest.raises(InputError, match=r"run/proxies\.py: expected a Python file that registers proxies"):
        resume()


def test_a_copy_of_the_proxies_that_was_edited_is_refused_by_name(place: Path) -> None:
    search(WITH_PROXY)
    journal, copy = Path("run/journal.jsonl"), Path("run/proxies.py")
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    copy.write_text(PROXY.replace("0.1", "0.2"))
    with pytest.raises(InputError, match=r"run: expected the code that scored this run.*; proxies\.py is \w{12} now and was"):
        resume()
    copy.write_text(PROXY)
    resume()


def test_its_options_are_its_own(place: Path) -> None:
    small = search(WITH_PROXY, pool=driver.make_pool)["best"]["scores"]["mine"]
    options = "proxies.options={mine: {above: 0.3}}"
    large = search(WITH_PROXY, options, folder="other", pool=driver.make_pool)["best"]["scores"]["mine"]
    assert large < small
    said = fault(WITH_PROXY, "proxies.options={mine: {abvoe: 0.3}}")
    assert said == "proxies.options.mine: expected above; got 'abvoe'"
    assert "expected scores of the objective, flops, mine; got 'jacov'" in fault(WITH_PROXY, "proxies.options={jacov: {}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import proxies\n\nproxies.register(\n", "my_scores.py, line 3: expected Python"),
        ("import proxies\n1 / 0\n", "my_scores.py, line 2: expected to run; got ZeroDivisionError: division by zero"),
        ("import proxies\n", "registers proxies with @proxies.register(name); it registers none"),
        (PROXY.replace('"mine"', '"synflow"'), "expected a new name, got 'synflow', a proxy of this package"),
        (PROXY.replace('"mine"', '"te_nas"'), "expected a name that no objective has; got 'te_nas'"),
        (PROXY.replace('"mine"', '"mime"'), "got 'mine', nearest is 'mime'"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_its_place(place: Path, text: str, said: str) -> None:
    Path("my_scores.py").write_text(text)
    assert said in fault(WITH_PROXY)


def test_a_file_that_is_not_there(place: Path) -> None:
    Path("my_scores.py").unlink()
    assert "my_scores.py: expected a Python file that registers proxies" in fault(WITH_PROXY)


def test_workers_elsewhere_need_a_file(place: Path) -> None:
    registry.register("here")(lambda network, batch: 1.0)
    config = loading.parse(WITH_PROXY.replace("mine", "here").replace("proxies: {file: my_scores.py}", "") + REST)
    own_files.load(config)  # the serial pool is this process
    config.pool = PoolConfig(kind="ray")
    with pytest.raises(InputError, match=r"the proxy here in a file that proxies\.file names"):
        own_files.load(config)


def test_the_files_text_travels_to_the_workers(place: Path, ray_address: str) -> None:
    from search.distributed.ray_pool import RayPool

    own_proxies.load(Path("my_scores.py"))
    Path("my_scores.py").unlink()  # no worker looks for it
    pool = RayPool(PoolConfig(kind="ray", address=ray_address), evaluator="tests.search.registered")
    try:
        pool.start()
        pool.submit(0, Job("digest", "", (16, 16), 10, 2, 1, 0, ("mine",)))
        done: list[Any] = []
        while not done:
            done = pool.poll(1.0)
    finally:
        pool.close()
    assert dict(done[0].outcome.scores) == {"mine": 1.0}


# --- objectives -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("{product: [flops, [aleph, params]]}", "flops x (aleph, params)"),
        ("{mean: [flops, params]}", "mean(flops, params)"),
        ("{weighted: {flops: 1.0, params: 0.5}}", "1 flops + 0.5 params"),
        ("flops x params", "flops x params"),
    ],
)
def test_an_objective_is_searched_by_and_shown_in_one_line(place: Path, given: str, shown: str) -> None:
    found = search(f"space: nats_bench_size\nobjective: {given}\nalgorithm: evolution\nevaluations: 3\n")
    assert found["objective"] == shown
    assert records(Path("run"))[0]["objective"] == shown
    assert loading.load(Path("run/config.yaml")).objective == shown
    resume(evaluations=4)


def test_an_objective_from_a_file_needs_that_file_no_more(place: Path) -> None:
    Path("choice.json").write_text('{"weighted": {"flops": 2, "(aleph, params)": 0.25}}')
    text = "space: nats_bench_size\nobjective: {file: choice.json}\nalgorithm: random\nevaluations: 2\n"
    assert search(text)["objective"] == "2 flops + 0.25 (aleph, params)"
    Path("choice.json").unlink()
    resume(evaluations=3)


def test_an_override_may_be_a_combination() -> None:
    config = loading.parse("space: nats_bench_size", ["objective={mean: [flops, params]}"])
    assert config.objective == "mean(flops, params)"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{product: []}", "expected a list of raw scores behind product; got []"),
        ("{sum: [flops]}", "got the keys sum"),
        ("{product: [flops, te_nas]}", "got 'te_nas', which is a combination itself"),
        ("{product: [flops, flops]}", "expected each column once; got flops twice"),
        ("{product: [[a, b, c]]}", "or pairs of them"),
        ("{weighted: {flops: -1}}", "expected a weight above 0 for flops; got -1"),
        ("{product: [flops, parms]}", "got 'parms', nearest is 'params'"),
        ("{file: nowhere.json}", "got nowhere.json, which does not exist"),
        ("flops + params", "got 'flops + params'"),
    ],
)
def test_what_is_no_objective(given: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^it\.yaml: objective: expected ") as caught:
        loading.parse(f"space: nats_bench_size\nobjective: {given}\n", source="it.yaml")
    assert said in str(caught.value)


# --- algorithms -------------------------------------------------------------------------------------------------------------

WITH_ALGORITHM = """
space: nats_bench_size
objective: flops
algorithm: {file: my_search.py}
evaluations: 4
"""


def test_an_algorithm_of_fourteen_lines_searches_in_four(place: Path) -> None:
    found = search(WITH_ALGORITHM)
    assert found["algorithm"] == "greedy"
    config = loading.load(Path("run/config.yaml"))
    assert (config.algorithm, config.window) == ("greedy", 2)
    assert Path("run/algorithm.py").read_text() == ALGORITHM
    whole, journal = stable(Path("run")), Path("run/journal.jsonl")
    Path("my_search.py").unlink()
    new_process()
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    resume()
    assert stable(Path("run")) == whole


def test_a_run_by_an_algorithm_that_is_not_loaded_can_be_reported(place: Path) -> None:
    from search.report.data import read_run

    search(WITH_ALGORITHM)
    new_process()
    assert read_run(Path("run")).config.algorithm == "greedy"


@pytest.mark.parametrize(
    ("change", "overrides", "said"),
    [
        (("", ""), ["algorithm_options={patence: 3}"], "greedy knows patience; got 'patence'"),
        (('"greedy"', '"walk"'), [], "expected a new name; got 'walk', one of this package"),
        (("register", "print"), [], "my_search.py, line 1: expected to run; got ImportError"),
        (("@register", "register; lambda *a, **b: (lambda c: c);\n#"), [], "expected it to register one algorithm"),
        (("", ""), ["algorithm={file: my_search.py, name: other}"], "expected it to register 'other'; it registers greedy"),
        (("self.space, self.best = space, None", "1 / 0"), [], "my_search.py, line 7: its constructor: expected to run"),
        (("def learn", "def lern"), [], "my_search.py: expected a Strategy; Greedy lacks learn"),
    ],
)
def test_a_mistake_in_an_algorithm_is_one_line(place: Path, change: tuple[str, str], overrides: list[str], said: str) -> None:
    Path("my_search.py").write_text(ALGORITHM.replace(*change))
    with pytest.raises(InputError) as caught:
        search(WITH_ALGORITHM, *overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_an_algorithm_raises_later_is_reported_with_its_line(place: Path) -> None:
    Path("my_search.py").write_text(
        ALGORITHM.replace("return self.space.mutate", "return 3 if index == 2 else self.space.mutate")
    )
    with pytest.raises(
        InputError, match=r"my_search\.py: propose: expected a Candidate .*; got int; fix run/algorithm\.py, the run's"
    ):
        search(WITH_ALGORITHM)
    assert json.loads(Path("run/run.json").read_text())["status"] == "failed"
    new_process()
    Path("run/algorithm.py").write_text(ALGORITHM)
    resume()
    assert json.loads(Path("run/run.json").read_text())["status"] == "complete"


# --- spaces -----------------------------------------------------------------------------------------------------------------

SPACE = """\
from uninas import Architecture, Block, Stage
from uninas.networks.presets import resnet_block, zero
from uninas.spaces import Product

BLOCK = Block((resnet_block(), zero()))


def network(genotype, classes, input_size):
    stages = [Stage(16 * genotype["width"], (BLOCK,) * genotype[f"depth{number}"]) for number in (1, 2)]
    return Architecture(tuple(stages), classes, input_size, stem=(8, 16))


positions = {"width": (1, 2, 3), "depth1": (1, 2), "depth2": (1, 2, 3)}
SPACE = Product(name="mine", positions=positions, network=network, classes=10, input_size=(8, 8))
"""

WITH_SPACE = """
space: {file: my_space.py}
objective: flops
algorithm: evolution
evaluations: 4
"""


def test_a_space_of_fourteen_lines_is_searched_in_four(place: Path) -> None:
    Path("my_space.py").write_text(SPACE)
    found = search(WITH_SPACE)
    assert found["counts"]["search"]["done"] == 4
    assert Path("run/space.py").read_text() == SPACE
    whole, journal = stable(Path("run")), Path("run/journal.jsonl")
    Path("my_space.py").unlink()
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    resume()
    assert stable(Path("run")) == whole
