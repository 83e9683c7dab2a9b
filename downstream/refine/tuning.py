"""Short trainings of a search's finalists under Ray Tune, stopped early by ASHA. The only file of `downstream` that knows Ray.

    train_finalists(Path("runs/mine"), plan, note=print)         begins, or goes on where it was left

Tune starts the trials, each on its share of the machine, and repeats those whose process dies; ASHA decides which go on. Tune
pickles the state that it would resume from, and no pickle of a run folder is ever loaded: so that state stays in Ray's own
folder, which ends with the process, and a resume is made of our files. Every epoch's decision is on disk before Tune acts on it.
A resume hands them to a fresh ASHA in their order, which has to decide the same again, and each training tells anew what it has
in its checkpoint: known epochs change nothing, and those that a kill kept from being decided are decided then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from ray import tune
from ray.tune import schedulers

from downstream.refine.run_folder import FOLDER, Decisions, Plan
from downstream.train import run_folder
from downstream.train.classify import train
from downstream.train.result import Watch
from downstream.train.settings import Settings, read
from uninas.errors import InputError
from uninas.runtime import ray_local

__all__ = ["train_finalists"]

DEATHS = 3
"""Repetitions of a training whose process died."""

_RELEASE_SECONDS = 60.0
"""Patience with a folder whose processes were killed: those that read pictures notice it after some seconds."""


def train_finalists(run: Path, plan: Plan, *, note: Callable[[str], None] = lambda text: None) -> Decisions:
    """Train what is left to train; gives every decision, of earlier sessions too.

    Args:
        run: of the search, with RUN/refine begun.
        plan: of RUN/refine.
        note: told what a person may want to know: a line an epoch.

    Raises:
        InputError: too few GPUs, another process is at it, decisions that another program took, or a disk that refuses.
        KeyboardInterrupt: after Ctrl-C; no process stays, and the refine can be resumed.
    """
    folder = (run / FOLDER).absolute()
    with run_folder.alone(folder):
        decisions = Decisions.read(folder)
        asha = _Asha(plan, decisions, note)
        left = [finalist.name for finalist in plan.finalists if decisions.end(finalist.name) is None]
        if not left:
            return decisions
        for finalist in plan.finalists:
            if (end := decisions.end(finalist.name)) is not None:
                note(f"{finalist.name}  {_WORDS[end]} before: not trained again")
        note("starting Ray on this machine (about ten seconds)")
        local = ray_local.start(cpus=max(ray_local.cores(), plan.concurrent * plan.cpus))
        try:
            _refuse_silence(plan)
            _tune(folder, plan, left, asha, local.folder / "tune")
        finally:
            local.close()
        if any(decisions.end(name) is None for name in left):
            raise KeyboardInterrupt
    return decisions


def _refuse_silence(plan: Plan) -> None:
    """Refuse what Ray would wait for in silence for ever."""
    import ray

    have = int(ray.cluster_resources().get("GPU", 0))
    fits = have * int(1 / plan.gpus + 1e-9) if plan.gpus else plan.concurrent
    if fits < plan.concurrent:
        raise InputError(
            f"--concurrent: expected at most as many trials as there is room for; {plan.concurrent} of {plan.gpus:g} GPU each do "
            f"not fit {have} GPUs"
        )


def _tune(folder: Path, plan: Plan, names: Sequence[str], asha: _Asha, storage: Path) -> None:
    ray_local.silence_tune()
    tuner = tune.Tuner(
        tune.with_resources(_train, {"cpu": plan.cpus, "gpu": plan.gpus}),
        param_space={
            "finalist": tune.grid_search(list(names)), "folder": str(folder), "data": plan.data,
            "device": plan.device, "workers": plan.workers,
        },
        tune_config=tune.TuneConfig(scheduler=asha, max_concurrent_trials=plan.concurrent, reuse_actors=True),
        run_config=tune.RunConfig(
            name="refine", storage_path=str(storage), failure_config=tune.FailureConfig(max_failures=DEATHS), verbose=0,
            callbacks=[_Deaths(asha)],
        ),
    )  # fmt: skip
    tuner.fit()


class _Report(Watch):
    """Tells Tune of each epoch, of those before a resume as well; waits there while ASHA decides, and ends there if it stops."""

    def __init__(self) -> None:
        self._notes = list[str]()

    def note(self, text: str) -> None:
        self._notes.append(text)

    def resumed(self, rows: Sequence[Mapping[str, float]]) -> None:
        for row in rows:
            self.epoch(row)

    def epoch(self, row: Mapping[str, float]) -> None:
        notes, self._notes = self._notes, []
        tune.report({**row, "epoch": int(row["epoch"]), "notes": notes})


def _train(config: dict[str, Any]) -> None:
    """The trial: an ordinary training, begun or taken up in the finalist's folder.

    What it raises is told as a result: a repetition would meet it again. Only a process that dies is Tune's to repeat.
    """
    run = Path(config["folder"]) / config["finalist"]
    try:
        _await_release(run)
        settings = read(run)
        assert isinstance(settings, Settings)
        train(
            settings, Path(config["data"]), run,
            device=config["device"], workers=config["workers"], resume=True, watch=_Report(),
        )  # fmt: skip
    except InputError as error:
        tune.report({"failed": str(error)})
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        tune.report({"failed": f"{type(error).__name__}: {first}"})


def _await_release(run: Path) -> None:
    ends = time.monotonic() + _RELEASE_SECONDS
    while True:
        try:
            with run_folder.alone(run):
                return
        except InputError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.5)


@dataclass(frozen=True)
class _Named:
    """What ASHA looks at in a trial. Tune draws a trial's id anew in each session; the finalist's name stays."""

    trial_id: str


_WORDS = {"stop": "stopped", "done": "done", "failed": "failed"}


@final
class _Asha(schedulers.ASHAScheduler):
    """Tune's ASHA that knows the finalists by name, writes its decisions down and repeats those of earlier sessions.

    Raises:
        InputError: the repeated decisions are others.
    """

    def __init__(self, plan: Plan, decisions: Decisions, note: Callable[[str], None]) -> None:
        super().__init__(
            time_attr="epoch", metric="top1", mode="max", max_t=plan.epochs, grace_period=plan.grace,
            reduction_factor=plan.reduction,
        )  # fmt: skip
        self._plan, self._decisions, self._note = plan, decisions, note
        for finalist in plan.finalists:
            super().on_trial_add(None, _Named(finalist.name))  # type: ignore[arg-type]
        for record in decisions.records:
            if (again := self._decide(record["finalist"], record)) != record["decision"]:
                raise InputError(
                    f"{decisions.path}: finalist {record['finalist']}, epoch {record['epoch']}: expected '{again}', as this "
                    f"program decides; got '{record['decision']}': it was changed, or another version wrote it"
                )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out who listens: Tune pickles schedulers, into the folder that ends with Ray, and nobody reads them back."""
        return {name: value for name, value in self.__dict__.items() if name != "_note"}

    def _decide(self, finalist: str, result: Mapping[str, Any]) -> str:
        decision = super().on_trial_result(None, _Named(finalist), dict(result))  # type: ignore[arg-type]
        if decision != self.STOP:
            return "go_on"
        return "done" if result["epoch"] >= self._plan.epochs else "stop"

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Do nothing: all finalists are known from the beginning."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide on an epoch, once."""
        name = trial.config["finalist"]
        if "failed" in result:
            self.failed(name, result["failed"])
            return str(self.STOP)
        for text in result["notes"]:
            self._note(f"{name}  {text}")
        if self._decisions.has(name, result["epoch"]):
            return str(self.CONTINUE)
        decision = self._decide(name, result)
        self._decisions.add({"finalist": name, "epoch": result["epoch"], "top1": float(result["top1"]), "decision": decision})
        ending = {"go_on": "", "stop": "  stopped: behind the others", "done": "  done"}[decision]
        self._note(
            f"{name}  epoch {result['epoch']}/{self._plan.epochs}  loss {result['train_loss']:.3f}  top-1 {result['top1']:.2f}%  "
            f"{result['seconds']:.0f} s{ending}"
        )
        return str(self.CONTINUE if decision == "go_on" else self.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Do nothing: its last result has been decided on."""

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Do nothing: nothing is forgotten."""

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Do nothing: Tune calls this before a repetition, too; see `_Deaths`."""

    def failed(self, name: str, reason: str) -> None:
        """Keep that a training failed."""
        reason = " ".join(reason.split())
        self._decisions.add({"finalist": name, "decision": "failed", "reason": reason})
        self._note(f"{name}  failed: {reason}")

    def died(self, name: str) -> None:
        """Say that a training goes on at its last epoch."""
        self._note(f"{name}  its process died: repeated from its last epoch")


@final
class _Deaths(tune.Callback):
    """Tells ASHA which processes died, and which trainings Tune gave up for it."""

    def __init__(self, asha: _Asha) -> None:
        self._asha = asha

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, as of `_Asha`."""
        return {}

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A repetition is to come."""
        self._asha.died(trial.config["finalist"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """None is to come."""
        self._asha.failed(trial.config["finalist"], f"its process died {1 + DEATHS} times")
