"""The steps in the order of their importance, and what a step is given: a device, a time, a file for what it finds.

A step is a function of a `Bench`. It runs in a process of its own, so that a fault of the device, which a process does not
survive, ends no other step. What it finds it writes at once: a step that is stopped keeps what it had.
"""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["AIMS", "STEPS", "Aim", "Bench", "Step", "append", "read"]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: of the step.
        where: module:function, imported in the step's own process.
        checks: what holds where it succeeds, for people.
        share: of the time: these seconds of eight minutes, and more where steps before it left some.
        least: seconds without which it is not begun: a process that imports torch and Ray takes most of them.
    """

    name: str
    where: str
    checks: str
    share: float
    least: float = 10.0


STEPS = (
    Step("machine", "benchmarks.gpu.machine:machine", "what it runs on, and the ceilings of its arithmetic", 20, 5),
    Step(
        "scores",
        "benchmarks.gpu.scores:scores",
        "every proxy scores each network as the CPU does: within 1e-6 in float64; in float32 within 1e-2, or four times what "
        "float32 differs from float64 on the CPU",
        75,
    ),
    Step(
        "candidate",
        "benchmarks.gpu.candidate:candidates",
        "a candidate end to end, asked for, built and scored, within its aim; scored twice it has the same bits",
        80,
    ),
    Step(
        "determinism",
        "benchmarks.gpu.scores:determinism",
        "every proxy scores each network twice, and in a fresh process, to the same bits",
        40,
    ),
    Step(
        "deadline",
        "benchmarks.gpu.actors:deadline",
        "a kernel that does not end is killed at the deadline, and the next candidate is scored on the same GPU",
        65,
        40,
    ),
    Step(
        "memory",
        "benchmarks.gpu.memory:memory",
        "micro_batch bounds the peak of memory and changes no score beyond rounding; a candidate that does not fit has failed, "
        "out of memory, and the next one is scored",
        35,
    ),
    Step(
        "actors",
        "benchmarks.gpu.actors:actors",
        "one actor, two halves and four quarters of a GPU write the same journal",
        85,
        45,
    ),
    Step(
        "training",
        "benchmarks.gpu.training:training",
        "trainings in mixed precision, a search's and `uninas train`'s, have a finite loss; training steps of ResNet-50 are as "
        "fast as timm's",
        45,
    ),
    Step(
        "latency",
        "benchmarks.gpu.latency:latency",
        "two medians of a network's passes differ by at most a tenth, in float32 and bfloat16",
        25,
    ),
    Step("profile", "benchmarks.gpu.candidate:profile", "which kernels a candidate's time goes to", 25),
)


@dataclass(frozen=True)
class Aim:
    """How fast a candidate is to be, in seconds, and how fast others were, in words."""

    seconds: float
    others: str


AIMS: Mapping[str, Aim] = {
    "uninas_30m": Aim(0.36, "the UniNAS paper 43 (12 GPU-hours for 1,000), its sequel 2.9 (8 hours for 10,000)"),
    "mobilenetv2": Aim(0.1, "ZiCo and VKDNW 0.35 (0.4 GPU-days for 100,000)"),
}
"""By the configuration in configs/search that the candidates come from."""


@dataclass(frozen=True)
class Bench:
    """What a step is given.

    Attributes:
        step: its name.
        device: of torch.
        toy: whether sizes are small, for a CPU: then nothing is claimed of times and memory.
        seconds: it has, from its beginning.
        file: of the results.
    """

    step: str
    device: str
    toy: bool
    seconds: float
    file: Path
    begun: float = field(default_factory=time.monotonic)

    @property
    def gpu(self) -> bool:
        """Whether the device is one."""
        return self.device.startswith("cuda")

    def left(self) -> float:
        """How many of its seconds are left."""
        return self.seconds - (time.monotonic() - self.begun)

    def row(self, what: str, *, ok: bool | None = None, **figures: Any) -> None:
        """Keep one finding.

        Args:
            what: was looked at.
            ok: whether what should hold does; None where nothing is claimed.
            figures: of it, JSON-able data.
        """
        append(self.file, {"kind": "row", "step": self.step, "what": what, "ok": ok, **figures})

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """Let what is raised inside be a finding, of this part alone: the step goes on."""
        try:
            yield
        except Exception as error:
            self.row(what, ok=False, error=f"{type(error).__name__}: {error}", said=traceback.format_exc())


def append(file: Path, record: Mapping[str, Any]) -> None:
    """Add a line to the results. Opened each time: several processes write, one after the other."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(_plain(record), allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Give data that JSON can hold: a number that is none becomes its name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read(file: Path) -> list[dict[str, Any]]:
    """Read the lines of a results file; one that was cut off while it was written is left out."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
