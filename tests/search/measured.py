"""A real search on a Ray of its own with a dashboard, in a process that waits where a test wants to look:
python -m tests.search.measured FOLDER

It prints the folder of Ray's session and begins the search at the next line of its input; it prints "complete" once all is in the
journal, and ends, with Ray, when its input does.
"""

import sys
from pathlib import Path

from search.config import loading
from search.config.schema import PoolConfig
from search.distributed.ray_pool import RayPool
from search.engine import driver
from search.monitor.progress import PlainView, View
from search.workers.interrupts import Interrupts
from search.workers.pool import Done, Pool

CONFIG = """
space: {preset: coatnet, widths: [16, 32, 32, 32], depths: [1, 1, 1, 1], random_edits: 1}
algorithm: random
objective: vkdnw_agg
evaluations: 30
size: 32
classes: 10
batch: 2
budget: {params: 100000}
pool: {kind: ray, workers: 2, dashboard: true}
finalists: {count: 2, seeds: 2, controls: []}
"""


class PatientPool:
    """A Ray pool that waits for a line before its first job and for the end of the input before its end."""

    def __init__(self, pool: RayPool) -> None:
        self.pool = pool
        self.held = False

    def start(self) -> dict[str, str]:
        environment = self.pool.start()
        import ray

        self.held = True
        print(ray._private.worker._global_node.get_session_dir_path(), flush=True)
        sys.stdin.readline()
        return environment

    def free(self) -> int:
        return self.pool.free()

    def workers(self) -> int:
        return self.pool.workers()

    def submit(self, ticket: int, job: object) -> None:
        self.pool.submit(ticket, job)  # type: ignore[arg-type]

    def poll(self, timeout_s: float) -> list[Done]:
        return self.pool.poll(timeout_s)

    def close(self) -> None:
        if self.held:
            self.held = False
            print("complete", flush=True)
            sys.stdin.read()
        self.pool.close()


def maker(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    pool = RayPool(config, evaluator="tests.search.flaky", note=view.note, interruptible=interrupts.interruptible)
    return PatientPool(pool)


if __name__ == "__main__":
    view = PlainView(lambda text: print(text, file=sys.stderr, flush=True))
    driver.begin(loading.parse(CONFIG), Path(sys.argv[1]), view=view, pool_maker=maker)
