"""Run a Python script of others, such as timm's train.py, where timm knows our models: what `import downstream` does, by itself.

    python -m downstream train.py imagenet --model local-dir:exported --pretrained
    torchrun --nproc-per-node 4 -m downstream train.py imagenet --model uninas --model-kwargs arch=coatnet

The script runs as `python SCRIPT ARGUMENTS` would run it. timm has no entry points for models, so without this line a script of
its repository would have to be changed.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import downstream  # noqa: F401 registers the model
from uninas.errors import InputError

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run a script with its arguments. Raises InputError: there is no such file."""
    if not arguments or arguments[0] in ("-h", "--help"):
        given = " ".join(arguments) or "nothing"
        raise InputError(f"expected SCRIPT.py ARGUMENTS, as in python -m downstream train.py imagenet ...; got {given}")
    script = Path(arguments[0])
    if not script.is_file():
        raise InputError(f"expected a script to run; got {script}, which is not a file")
    sys.argv = arguments
    sys.path[0] = str(script.resolve().parent)  # where Python itself looks first for what a script imports
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        raise SystemExit(f"python -m downstream: {error}") from None
