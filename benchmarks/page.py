"""What the benchmark scripts share: the machine in words, and a page of results."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from uninas.runtime.machine import processor

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"
RESULTS = FOLDER.parent / "results"


def setting(**versions: str) -> str:
    """One line that says on what the figures were measured."""
    parts = [f"Python {platform.python_version()}", *(f"{name} {version}" for name, version in versions.items())]
    return f"Measured with {', '.join(parts)} on {processor()}."


def table(head: list[str], rows: list[list[str]]) -> str:
    """A markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def prose(*parts: str) -> str:
    """Join the parts of a paragraph."""
    return " ".join(filter(None, parts))


def command() -> str:
    """The command that makes the page again."""
    module = Path(sys.argv[0]).resolve().relative_to(FOLDER.parents[1]).with_suffix("")
    return " ".join(["python -m", ".".join(module.parts), *sys.argv[1:]])


def publish(text: str, name: str, *, write: bool, folder: Path = FOLDER) -> None:
    """Print the page; keep it as <name>.md in the folder (docs/benchmarks) where that was asked for."""
    print(text)
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
