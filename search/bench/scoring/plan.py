"""Which networks are scored, and by what: the part of a bench that is decided before any work."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import proxies
from proxies.registry import registered
from proxies.table import TABLE
from search.bench.scoring.job import Job, Request, Setup
from search.workers.scoring_code import SEARCH, ScoringCode, scoring_code
from uninas.errors import InputError

STANDARD = "standard"
DECISIVE = (
    *SEARCH,
    "search/bench/scoring/evaluate.py",
    "search/bench/scoring/job.py",
    "search/bench/scoring/timm_networks.py",
    "uninas/networks/pieces.py",
    "uninas/spaces/nasbench201.py",
)
"""What decides a score of a bench, see `search.workers.scoring_code`: also how its networks are built and its images are read."""

LEFT_OUT = tuple(name for name, spec in TABLE.items() if "bench" in spec.left_out)
"""Raw proxies that are not scored unless they are asked for by name."""

WITHOUT_THIN_VARIANT = tuple(name for name, spec in TABLE.items() if "timm" in spec.left_out)
"""Likewise where a network has no thin variant, which these proxies need; all but cells have none."""

SAMPLES = {name: spec.samples for name, spec in TABLE.items() if spec.samples is not None}
"""Proxy -> how many samples of the batch it gets, where it is not all: those that take several passes, or one a sample."""


@dataclass(frozen=True)
class Network:
    """One network of a benchmark: its number, its name, and (C, H, W) of its input.

    Attributes:
        source: what builds it; None for the plan's.
        definition: what it is built from; None for its name.
    """

    index: int
    name: str
    input_shape: tuple[int, int, int]
    source: str | None = None
    definition: str | None = None


@dataclass(frozen=True)
class ScoringPlan:
    """What a run scores.

    Attributes:
        source: a key of `search.bench.scoring.evaluate.NETWORKS`, for every network that has none of its own.
        classes: outputs of every network.
        networks: in the order in which they are scored.
        setups: by name.
        requests: by label.
        limited: label -> indices of the networks that are scored by it, where it is not all.
    """

    source: str
    classes: int
    networks: Sequence[Network]
    setups: Mapping[str, Setup]
    requests: Mapping[str, Request]
    limited: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def labels(self, network: Network) -> tuple[str, ...]:
        """Give the labels of the scores of one network."""
        limited = self.limited
        return tuple(label for label in self.requests if label not in limited or network.index in limited[label])

    def job(self, network: Network, labels: Iterable[str]) -> Job:
        """Make the job that scores one network by some of the labels."""
        requests = {label: self.requests[label] for label in labels}
        used = {request.setup for request in requests.values()}
        setups = {name: setup for name, setup in self.setups.items() if name in used}
        source, shape = network.source or self.source, network.input_shape
        return Job(network.index, network.name, source, self.classes, shape, setups, requests, network.definition)

    def revisions(self) -> dict[str, int]:
        """Give the revision of each label's proxy; scores of one label are comparable where it is equal."""
        return {label: proxies.REVISIONS.get(request.proxy, 0) for label, request in self.requests.items()}

    def code(self) -> ScoringCode:
        """Describe the code that scores, without revisions, which are of a label; and timm, where the networks are its own."""
        found = scoring_code([request.proxy for request in self.requests.values()], DECISIVE)
        theirs = {"timm": importlib.metadata.version("timm")} if self.source == "timm" else {}
        return dataclasses.replace(found, others={**found.others, **theirs}, revisions={})


def known_proxies() -> tuple[str, ...]:
    """Give the names of all raw proxies, those first that a bench scores when nobody names any."""
    return tuple(name for name in (*TABLE, *registered()) if name not in LEFT_OUT) + LEFT_OUT


def chosen_proxies(text: str | None, option: str = "--proxies", *, thin: bool = True) -> tuple[str, ...]:
    """Read names separated by commas, given as `option`; None stands for all.

    `thin`: whether the networks have thin variants; else None stands for all that do not need one.

    A name of a population rank (`search.ranking.objective.OBJECTIVES`) stands for the raw scores that it is made of.

    Raises:
        InputError: no names, or unknown ones; the message names the nearest.
    """
    from search.ranking.objective import OBJECTIVES

    known = known_proxies()
    if text is None:
        return tuple(name for name in known if name not in LEFT_OUT and (thin or name not in WITHOUT_THIN_VARIANT))
    wanted = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    if not wanted:
        raise InputError(f"{option}: expected names separated by commas; got none")
    chosen: dict[str, None] = {}
    for name in wanted:
        if name in OBJECTIVES and name not in known:
            chosen.update(dict.fromkeys(OBJECTIVES[name].proxies))
        elif name in known:
            chosen[name] = None
        else:
            near = difflib.get_close_matches(name, [*known, *OBJECTIVES], 1, cutoff=0.4)
            hint = f", nearest is '{near[0]}'" if near else ""
            raise InputError(f"{option}: expected some of {', '.join((*known, *OBJECTIVES))}; got '{name}'{hint}")
    return tuple(chosen)
