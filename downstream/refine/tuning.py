"""Short trainings of a search's finalists under Ray Tune, stopped early by ASHA. The only file of `downstream` that knows Ray.

    train_finalists(Path("runs/mine"), plan, note=print)         starts, or resumes

Tune runs the trials, each on its share of the machine, and repeats those whose process dies; ASHA decides which continue. Tune
pickles the state from which it would resume, and no pickle of a run folder is ever loaded: that state stays in Ray's own folder,
which is removed with the process, and a resume uses our files. Every epoch's decision is on disk before Tune acts on it. A resume
gives them in order to a new ASHA, which must decide the same again, and each training reports the epochs of its checkpoint again:
known epochs change nothing, and those on which a kill prevented a decision are decided then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from ray import tune
from ray.tune import schedulers

from downstream.refine.run_folder import FOLDER, Decisions, RefinePlan
from downstream.train import run_folder
from downstream.train.classify import train
from downstream.train.result import Watch
from downstream.train.settings import Settings, read_settings
from uninas.errors import InputError
from uninas.files.paths import below
from uninas.runtime import ray_local

__all__ = ["train_finalists"]

DEATHS = 3
"""Number of times that a training is repeated after its process died."""

_RELEASE_SECONDS = 60.0
"""Time to wait for a folder whose processes were killed: those that read images notice it after some seconds."""


def train_finalists(
    run: Path, plan: RefinePlan, *, note: Callable[[str], None] = lambda text: None, accept_changes: bool = False
) -> Decisions:
    """Train what is left to train. Gives all decisions, also those of earlier sessions.

    Args:
        run: of the search, with RUN/refine.
        plan: of RUN/refine.
        note: called with messages for the user, among them one line per epoch.
        accept_changes: go on although the data are not those that were trained on.

    Raises:
        InputError: too few GPUs, another process is refining this run, decisions of another program, or a full disk.
        KeyboardInterrupt: after Ctrl-C; no process is left, and the refine can be resumed.
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
            _check_room(plan)
            _tune(folder, plan, left, asha, local.folder / "tune", accept_changes)
        finally:
            local.close()
        if any(decisions.end(name) is None for name in left):
            raise KeyboardInterrupt
    return decisions


def _check_room(plan: RefinePlan) -> None:
    """Reject more trials than fit, for which Ray would wait forever without a message."""
    import ray

    have = int(ray.cluster_resources().get("GPU", 0))
    fits = have * int(1 / plan.gpus + 1e-9) if plan.gpus else plan.concurrent
    if fits < plan.concurrent:
        raise InputError(
            f"--concurrent: expected at most as many trials as fit; {plan.concurrent} of {plan.gpus:g} GPU each do not "
            f"fit on {have} GPUs"
        )


def _tune(folder: Path, plan: RefinePlan, names: Sequence[str], asha: _Asha, storage: Path, accept_changes: bool) -> None:
    with ray_local.quiet_tune():
        tuner = tune.Tuner(
            tune.with_resources(_train, {"cpu": plan.cpus, "gpu": plan.gpus}),
            param_space={
                "finalist": tune.grid_search(list(names)),
                "folder": str(folder),
                "data": plan.data,
                "device": plan.device,
                "workers": plan.workers,
                "accept_changes": accept_changes,
            },
            tune_config=tune.TuneConfig(scheduler=asha, max_concurrent_trials=plan.concurrent, reuse_actors=True),
            run_config=tune.RunConfig(
                name="refine",
                storage_path=str(storage),
                failure_config=tune.FailureConfig(max_failures=DEATHS),
                verbose=0,
                callbacks=[_Deaths(asha)],
            ),
        )
        tuner.fit()


class _Report(Watch):
    """Reports each epoch to Tune, also those before a resume; waits there while ASHA decides, and ends there if it stops."""

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
    """Run the trial: an ordinary training in the finalist's folder, started or resumed.

    An error is reported as a result, because it would occur again; Tune repeats only a trial whose process dies.
    """
    run = below(Path(config["folder"]), config["finalist"])
    try:
        _await_release(run)
        settings = read_settings(run)
        assert isinstance(settings, Settings)
        train(
            settings,
            Path(config["data"]),
            run,
            device=config["device"],
            workers=config["workers"],
            resume=True,
            watch=_Report(),
            accept_changes=config["accept_changes"],
        )
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
    """What ASHA reads of a trial. Tune draws new trial ids in each session; the finalist's name stays the same."""

    trial_id: str


_WORDS = {"stop": "stopped", "done": "done", "failed": "failed"}


@final
class _Asha(schedulers.ASHAScheduler):
    """Tune's ASHA, which knows the finalists by name, records its decisions and repeats those of earlier sessions.

    Raises:
        InputError: a repeated decision differs.
    """

    def __init__(self, plan: RefinePlan, decisions: Decisions, note: Callable[[str], None]) -> None:
        super().__init__(
            time_attr="epoch",
            metric="top1",
            mode="max",
            max_t=plan.epochs,
            grace_period=plan.grace,
            reduction_factor=plan.reduction,
        )
        self._plan, self._decisions, self._note = plan, decisions, note
        for finalist in plan.finalists:
            super().on_trial_add(None, _Named(finalist.name))  # type: ignore[arg-type]
        for record in decisions.records:
            if (again := self._decide(record["finalist"], record)) != record["decision"]:
                raise InputError(
                    f"{decisions.path}: finalist {record['finalist']}, epoch {record['epoch']}: expected '{again}', as this "
                    f"program decides; got '{record['decision']}': it was changed, or written by another version"
                )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the callback: Tune pickles schedulers into the folder that is removed with Ray, and nobody reads them."""
        return {name: value for name, value in self.__dict__.items() if name != "_note"}

    def _decide(self, finalist: str, result: Mapping[str, Any]) -> str:
        decision = super().on_trial_result(None, _Named(finalist), dict(result))  # type: ignore[arg-type]
        if decision != self.STOP:
            return "go_on"
        return "done" if result["epoch"] >= self._plan.epochs else "stop"

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Do nothing: all finalists are known from the start."""

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
        """Do nothing: there is a decision on its last result."""

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Do nothing: nothing is to be forgotten."""

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Do nothing: Tune also calls this before a repetition; see `_Deaths`."""

    def failed(self, name: str, reason: str) -> None:
        """Record that a training failed."""
        reason = " ".join(reason.split())
        self._decisions.add({"finalist": name, "decision": "failed", "reason": reason})
        self._note(f"{name}  failed: {reason}")

    def died(self, name: str) -> None:
        """Report that a training continues from its last epoch."""
        self._note(f"{name}  its process died: repeated from its last epoch")


@final
class _Deaths(tune.Callback):
    """Reports to ASHA which processes died, and which trainings Tune gave up."""

    def __init__(self, asha: _Asha) -> None:
        self._asha = asha

    def __getstate__(self) -> dict[str, Any]:
        """Leave out everything, as in `_Asha`."""
        return {}

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report that a training is repeated."""
        self._asha.died(trial.config["finalist"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record that a training is not repeated."""
        self._asha.failed(trial.config["finalist"], f"its process died {1 + DEATHS} times")
