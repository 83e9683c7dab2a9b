"""Whether a batch gives the Fisher matrix of VKDNW the rank that the deciles of its spectrum need, before anything is scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from proxies.formulas.rank import MINIMUM_WEIGHTS, WEIGHTS, batch_needed, rows_needed, rows_of
from proxies.table import TABLE


@dataclass(frozen=True)
class Rank:
    """What one score of a Fisher spectrum is asked for with.

    Attributes:
        name: the score's.
        weights: how many weights it chooses of a network with enough layers.
        batch, classes, probes: as a configuration has them.
    """

    name: str
    weights: int
    batch: int
    classes: int
    probes: int | None

    @property
    def rows(self) -> int:
        """The largest rank of its matrix."""
        return rows_of(self.batch, self.classes, self.probes)

    @property
    def impossible(self) -> tuple[str, str, object] | None:
        """The key, what is expected of it and what it is, where no network can have this score."""
        if self.classes < 2:
            return "classes", f"at least 2 for {self.name}", self.classes
        least = min(MINIMUM_WEIGHTS, self.weights)
        if self.rows < rows_needed(least):
            return "batch", f"at least {batch_needed(least, self.classes, self.probes)} for {self.name}", self.batch
        return None

    def limit(self, layers: int | None = None) -> str | None:
        """Say which networks, of up to so many layers, cannot have this score; None where all can."""
        most = self.weights if layers is None else min(layers, self.weights)
        if self.impossible is not None or self.rows >= rows_needed(most):
            return None
        able = max(weights for weights in range(1, most) if rows_needed(weights) <= self.rows)
        return (
            f"a batch of {self.batch} with {self.classes} classes gives no {self.name} to networks of more than {able} layers: "
            f"{batch_needed(most, self.classes, self.probes)} images are enough for all"
        )


def ranks(names: Iterable[str], options: Mapping[str, Mapping[str, Any]], *, batch: int, classes: int) -> list[Rank]:
    """Give what each score of a Fisher spectrum among `names` is asked for with; `options` are those of each score."""
    found = []
    for name in names:
        spectrum = TABLE[name].spectrum if name in TABLE else None
        if spectrum is not None:
            given = {"weights": WEIGHTS, "per_layer": 1, "probes": None, **spectrum, **options.get(name, {})}
            counts = (given["weights"], given["per_layer"])
            if all(isinstance(count, int) and count > 0 for count in counts):  # what is no number is rejected by the score
                found.append(Rank(name, min(counts[0] * counts[1], 10 * WEIGHTS), batch, classes, given["probes"]))
    return found
