"""The console script `uninas`: a table of subcommands, each imported when it is used."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from uninas.errors import InputError

DISTRIBUTION = "uninas-ray"
"""What is installed; `uninas` on the package index is another project's."""

COMMANDS: dict[str, tuple[str, str]] = {
    "cost": ("uninas.commands.cost", "Count parameters, MACs, layers and memory of an architecture, exactly, at any size."),
    "show": ("uninas.commands.show", "Read a network: overview, stages, blocks; in the terminal or as an SVG drawing."),
    "diff": ("search.commands.diff", "Compare two networks, down to the edits inside a block."),
    "space": ("uninas.commands.space", "Describe a published search space or your own: its size, and what its networks cost."),
    "score": ("search.commands.score", "Compute zero-cost (training-free) scores of one architecture."),
    "search": ("search.commands.search", "Search the space from a configuration file, or resume a run."),
    "sweep": ("search.commands.sweep", "Run several seeds or budgets of a search side by side."),
    "bench": ("search.commands.bench", "Judge proxies on networks whose accuracies are known."),
    "refine": (
        "downstream.commands.refine",
        "Train the finalists of a search for a few epochs, and rank them by accuracy.",
    ),
    "train": ("downstream.commands.train", "Train an architecture by the papers' protocols."),
    "evaluate": ("downstream.commands.evaluate", "Measure trained weights: accuracy, and images/s."),
    "compare": ("downstream.commands.compare", "Put networks side by side: costs, speed and memory here, accuracy from logs."),
    "export": (
        "downstream.commands.export",
        "Write a network for timm, OpenMMLab, torch, ONNX or the UniNAS reference implementation, with a model card.",
    ),
    "watch": ("search.commands.watch", "Show a search while it runs, from its files alone, on any machine."),
    "report": ("search.commands.report", "Write the HTML report of a run."),
}
"""Name -> (module that holds a click command called `command`, one line of help)."""


def _print_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the version of the installed distribution: a line, also where the packages are only on the path."""
    if not wanted or context.resilient_parsing:
        return
    import importlib.metadata

    try:
        version = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = "(version unknown: the packages are on the path, but not installed)"
    click.echo(f"uninas {version}")
    context.exit()


class _ReaderLeft(Exception):
    """The reader of our output has left, as `head` does."""


@contextmanager
def _reader_left() -> Iterator[None]:
    """Raise `_ReaderLeft` for a broken pipe, for which click would leave with status 1."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise _ReaderLeft from None


class _LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Read the arguments, and print a help that they ask for."""
        with _reader_left():
            return super().make_context(*arguments, **more)

    def invoke(self, context: click.Context) -> object:
        """Run a command."""
        with _reader_left():
            return super().invoke(context)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version and exit."
)
def program() -> None:
    """Search vision networks in a universal graph space by zero-cost (training-free) proxies.

    \b
    uninas cost coatnet                          what a network costs
    uninas search demo                           search, score and report
    uninas show runs/demo/best.json              read what was found
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit: 0; 2 for what the user got wrong; 130 after Ctrl-C; 1 for a fault of ours."""
    try:
        result = program.main(args=arguments, prog_name="uninas", standalone_mode=False)
    except InputError as error:
        _fail(str(error), 2)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except click.exceptions.NoArgsIsHelpError as error:  # a group by itself: what it can do, in lines
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except _ReaderLeft:  # nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still in the buffer goes there
        sys.exit(0)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(f"cannot write: {error.strerror}", 2)
        raise
    else:
        sys.exit(result if isinstance(result, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    line = " ".join(message.split())
    click.echo(f"uninas: {line}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
