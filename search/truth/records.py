"""The records in the journal of a ground truth, besides its header.

{"kind": "training", "network", "digest", "seed", "status", "reason", "top1", "loss", "epochs": [{...}], "images",
 "seconds": {...}, "worker", "attempts"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from search.journal.records import Header, Kinds, rounded
from search.truth.networks import Network
from search.workers.job import numbers
from search.workers.pool import Done
from search.workers.scoring_code import ScoringCode

__all__ = ["KINDS", "Training", "TruthRecord"]


@final
@dataclass(frozen=True, slots=True)
class Training:
    """A training that ended.

    Attributes:
        network: name of the network.
        digest: of its canonical form.
        seed: of the training.
        status: "ok", or "failed".
        reason: why it failed, in words.
        top1: accuracy on the held-out images in percent; None where it failed.
        loss: on the held-out images; None where it failed.
        epochs: train_loss, loss and top1 after each.
        images: read in training, with repetitions.
        seconds: wall time of the stages build and train, CPU-seconds of both.
        worker: who trained.
        attempts: how many workers it was given to.
    """

    network: str
    digest: str
    seed: int
    status: str
    reason: str | None
    top1: float | None
    loss: float | None
    epochs: Sequence[Mapping[str, float]]
    images: int
    seconds: Mapping[str, float]
    worker: str
    attempts: int

    @staticmethod
    def of(network: Network, seed: int, done: Done) -> Training:
        """Make the record of a finished job."""
        outcome = done.outcome
        scores, details = numbers(outcome.scores), outcome.details.get("top1", {})
        return Training(
            network=network.name,
            digest=network.architecture.digest,
            seed=seed,
            status=outcome.status,
            reason=outcome.reason,
            top1=scores.get("top1"),
            loss=scores.get("loss"),
            epochs=list(details.get("epochs", [])),
            images=int(details.get("images", 0)),
            seconds=rounded(outcome.seconds, 3),
            worker=done.worker,
            attempts=done.attempts,
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        names = self.__slots__
        return {"kind": "training", **{name: getattr(self, name) for name in names}}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Training:
        """Read what `as_dict` gave."""
        return Training(**{name: data[name] for name in Training.__slots__})


TruthRecord = Header | Training | ScoringCode

KINDS: Kinds[TruthRecord] = {"header": Header.parse, "training": Training.parse, "code": ScoringCode.parse}
