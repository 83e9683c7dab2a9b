"""What was asked of `uninas bench`: options that have no effect are rejected, those of a pool become its configuration."""

from __future__ import annotations

from typing import Any

import click

from uninas.errors import InputError

__all__ = ["pool_of", "reject_given"]


def reject_given(context: click.Context, names: tuple[str, ...], where: str = "with --resume") -> None:
    """Reject options that have no effect: a resumed run keeps its settings, or the options decide nothing."""
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            flag = f"--{name.replace('_', '-')}"
            why = ": the run keeps its settings" if where == "with --resume" else ", where it has no effect"
            raise InputError(f"{flag}: expected not to be given {where}{why}")


def pool_of(options: dict[str, Any]) -> Any:
    """Take the pool's options out of `options` and make its configuration."""
    from search.config.schema import PoolConfig
    from uninas.runtime.ray_local import cores

    workers, kind, deadline = options.pop("workers"), options.pop("pool"), options.pop("deadline")
    if kind == "serial" and workers not in (None, 1):
        raise InputError(f"--workers: expected 1 with --pool serial; got {workers}")
    return PoolConfig(kind=kind, workers=workers or cores(), deadline_s=deadline)
