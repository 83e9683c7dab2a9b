"""The space under `ray.tune.Tuner`: any trainable of one's own, driven by the search's own algorithms.

    searcher = from_config(search.load("configs/search/demo.yaml"), metric="top1", mode="max")
    tuner = tune.Tuner(trainable, tune_config=tune.TuneConfig(search_alg=searcher, num_samples=200))

The trainable gets `config["architecture"]`, the text of an architecture file (`uninas.parse`, `uninas.compile.build`, or
`timm.create_model("uninas", arch=json.loads(text))`), and `config["digest"]`; what it reports under the metric's name decides.
With `order: ask` one seed gives one sequence of architectures, however many trials run at a time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from ray.tune.search import Searcher
from ray.tune.search.variant_generator import parse_spec_vars

from search.algorithms import ALGORITHMS, SpaceExhaustedError, make
from search.algorithms.candidate import Space
from search.config.schema import SearchConfig
from search.ranking.objective import LATENCY, Objective
from search.spaces.from_config import from_config as space_of
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import write_json

__all__ = ["ArchitectureSearcher", "from_config"]

FORMAT, VERSION = "uninas-tune-searcher", 1
_METRIC = Objective("metric", (("metric",),))


@final
class ArchitectureSearcher(Searcher):
    """A search algorithm of ours as Tune asks it.

    Args:
        space: where candidates come from.
        metric: name that the trainable reports; None takes that of `tune.TuneConfig`.
        mode: "max" or "min"; None likewise.
        algorithm: of `search.ALGORITHMS`.
        seed: decides every edit.
        evaluations: candidates after which the searcher has finished; None leaves it to `num_samples`.
        window: ask k sees the tells 0 .. k - window, and so many trials run at a time; default: the algorithm's.
        order: "ask" or "completion".
        options: of the algorithm.
        objectives: of an algorithm with several: "score", which is the metric, and counted costs; default: the algorithm's.

    Raises:
        InputError: no such algorithm or mode; latency among the objectives, which under Tune nobody measures.
    """

    def __init__(
        self,
        space: Space,
        metric: str | None = None,
        mode: str | None = None,
        *,
        algorithm: str = "evolution",
        seed: int = 0,
        evaluations: int | None = None,
        window: int | None = None,
        order: str = "ask",
        options: Mapping[str, int | float] | None = None,
        objectives: Sequence[str] | None = None,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise InputError(f"algorithm: expected one of {', '.join(ALGORITHMS)}; got '{algorithm}'")
        if mode not in (None, "max", "min"):
            raise InputError(f"mode: expected max or min; got '{mode}'")
        if LATENCY in (objectives or ()):
            raise InputError(f"objectives: expected no {LATENCY} under Tune, where nobody measures it")
        super().__init__(metric, mode)
        self._space = space
        self._evaluations = evaluations
        self._settings: dict[str, Any] = {
            "algorithm": algorithm,
            "seed": seed,
            "window": ALGORITHMS[algorithm].window if window is None else window,
            "order": order,
            "options": {**ALGORITHMS[algorithm].options, **(options or {})},
            "objectives": list(objectives or ALGORITHMS[algorithm].objectives),
        }
        self._engine = make(objective=_METRIC, space=space, name=algorithm, **_without(self._settings, "algorithm"))
        self._events = list[list[Any]]()  # ["ask", trial, digest], ["tell", trial, value or null], in their order
        self._under_way = dict[str, int]()  # trial -> index of its ask

    @property
    def evaluated(self) -> dict[str, float]:
        """The metric by digest, as reported, of every trial that has one."""
        asked = {trial: digest for kind, trial, digest in self._events if kind == "ask"}
        return {asked[trial]: value for kind, trial, value in self._events if kind == "tell" and value is not None}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Take the metric and the mode of a Tuner, and constants beside the architecture.

        Raises:
            InputError: `param_space` has something to be searched, or a key that the searcher sets.
        """
        _, searched, grid = parse_spec_vars(config)
        if searched or grid:
            name = "/".join(map(str, (*searched, *grid)[0][0]))
            raise InputError(f"param_space: expected constants beside the architecture, which is what is searched; got {name}")
        for name in ("architecture", "digest"):
            if name in config:
                raise InputError(f"param_space: expected no '{name}', which the searcher sets")
        if (metric and self._metric and metric != self._metric) or (mode and self._mode and mode != self._mode):
            return False
        self._metric, self._mode = metric or self._metric, mode or self._mode
        return True

    def suggest(self, trial_id: str) -> Any:
        """Give the next architecture; None while the window waits for a result, FINISHED at the end, also that of the space."""
        if self._evaluations is not None and self._engine.asked >= self._evaluations:
            return str(self.FINISHED)
        if not self._engine.ready():
            return None
        try:
            candidate = self._ask(trial_id)
        except SpaceExhaustedError as error:
            if error.whole:
                return str(self.FINISHED)
            raise
        return {"architecture": self._space.text(candidate), "digest": candidate.digest}

    def _ask(self, trial: str) -> Any:
        proposal = self._engine.ask()
        self._under_way[trial] = proposal.index
        self._events.append(["ask", trial, proposal.candidate.digest])
        return proposal.candidate

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take in the result of a trial; one that failed, or whose metric is no finite number, has no score.

        Raises:
            InputError: no metric is known, or the trial has not reported it.
        """
        value = None
        if result is not None and not error:
            if self._metric is None or self._mode is None:
                raise InputError("expected a metric and a mode, of the searcher or of tune.TuneConfig; got none")
            if self._metric not in result:
                raise InputError(f"metric: expected the trainable to report '{self._metric}'; it reported {', '.join(result)}")
            number = float(result[self._metric])
            value = number if math.isfinite(number) else None
        self._tell(trial_id, value)

    def _tell(self, trial: str, value: float | None) -> None:
        scores = {} if value is None else {"metric": -value if self._mode == "min" else value}
        self._engine.tell(self._under_way.pop(trial), scores)
        self._events.append(["tell", trial, value])

    def save(self, checkpoint_path: str) -> None:
        """Write every ask and tell in their order, as JSON."""
        state = {
            "format": FORMAT,
            "version": VERSION,
            "settings": self._settings,
            "metric": self._metric,
            "mode": self._mode,
            "events": self._events,
        }
        write_json(Path(checkpoint_path), state)

    def restore(self, checkpoint_path: str) -> None:
        """Repeat the asks and tells that `save` wrote; this searcher must be fresh, and made as that one was.

        Raises:
            InputError: no such file, another search, or an ask that gives another architecture than it did.
        """
        if self._events:
            raise InputError("expected a fresh searcher to restore; this one has been asked")
        path = Path(checkpoint_path)
        try:
            state = read_json(path)
            if (state["format"], state["version"]) != (FORMAT, VERSION):
                raise ValueError(f"got {state['format']}, version {state['version']}")
            events, settings, mode = state["events"], state["settings"], state["mode"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected what a searcher saved (JSON); {error}") from None
        if settings != self._settings or (self._mode or mode) != mode or (self._metric or state["metric"]) != state["metric"]:
            raise InputError(f"{path}: expected the searcher that saved it: {settings}, {state['metric']}, {mode}")
        self._metric, self._mode = state["metric"], mode
        for kind, trial, what in events:
            if kind == "tell":
                self._tell(trial, what)
            elif (digest := self._ask(trial).digest) != what:
                raise InputError(
                    f"{path}: ask {self._engine.asked - 1}: expected {what[:12]} again; got {digest[:12]}: this is not the space "
                    "or the program that it came from"
                )


def from_config(config: SearchConfig, metric: str | None = None, mode: str | None = None) -> ArchitectureSearcher:
    """Make the searcher of a search's configuration: its space, budget, algorithm, seed, evaluations, window and order.

    The objective and everything that scores is left out: the trainable's metric takes their place. It may be a trained accuracy,
    so edits insert what only a training sees too (`space.regularisers`).

    Raises:
        InputError: as `search.spaces.graph_space.from_config` and the searcher; a budget on latency.
    """
    if config.budget.latency_ms is not None:
        raise InputError(
            f"budget.{LATENCY}: expected none under Tune, where nobody measures it; got {config.budget.latency_ms:g}"
        )
    return ArchitectureSearcher(
        space_of(dataclasses.replace(config, space=dataclasses.replace(config.space, regularisers=True))),
        metric,
        mode,
        algorithm=config.algorithm,
        seed=config.seed,
        evaluations=config.evaluations,
        window=config.window,
        order=config.order,
        options=config.algorithm_options,
        objectives=config.objectives,
    )


def _without(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}
