"""A driver in a process of its own, to be killed by tests: python -m tests.search.drive begin|resume FOLDER JSON.

The JSON: config (overrides of a toy configuration), behaviour (of the scorer), salt.
"""

import json
import sys
from pathlib import Path
from typing import Any

from search import config, driver
from search.interrupts import Interrupts
from search.pool import Pool, SerialPool
from search.progress import PlainView, View
from search.ray_pool import RayPool
from search.schema import SearchConfig
from tests.search.fakes import ToySpace
from uninas.errors import InputError

FAKES = "tests.search.fakes"
TOY = """
space: resnet
algorithm: evolution
algorithm_options: {population: 20}
objective: vkdnw_agg
evaluations: 300
window: 8
size: 32
finalists: {count: 3, seeds: 2}
pool: {kind: serial}
"""


def toy_config(*overrides: str) -> SearchConfig:
    """A configuration whose space is replaced by the toy one."""
    return config.parse(TOY, overrides)


def toy_pool(settings: SearchConfig, view: View, interrupts: Interrupts) -> Pool:
    """The pool of a configuration, with the toy scorer in its workers."""
    if settings.pool.kind == "serial":
        return SerialPool(settings.pool.deadline_s, evaluator=FAKES, interruptible=interrupts.interruptible)
    return RayPool(settings.pool, evaluator=FAKES, note=view.note, interruptible=interrupts.interruptible)


def main(action: str, folder: str, options: str) -> None:
    wanted: dict[str, Any] = json.loads(options)
    space = ToySpace(behaviour=wanted.get("behaviour"), salt=wanted.get("salt", ""))
    view = PlainView(lambda text: print(text, flush=True), clock=lambda: 0.0)
    if action == "begin":
        driver.begin(toy_config(*wanted.get("config", ())), Path(folder), view=view, space=space, pool_maker=toy_pool)
    else:
        driver.resume(Path(folder), wanted.get("overrides"), view=view, space=space, pool_maker=toy_pool)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
