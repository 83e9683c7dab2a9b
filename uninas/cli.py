"""The console script `uninas`: a table of subcommands, each imported when it is used."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from uninas.commands.groups import Subcommands
from uninas.errors import InputError
from uninas.runtime import foreign, machine
from uninas.runtime.terminal import ready, say, unread

COMMANDS: dict[str, tuple[str, str]] = {
    "cost": (
        "uninas.commands.cost",
        "Print the parameters, MACs, layers and memory of an architecture, exactly and at any size.",
    ),
    "show": ("uninas.commands.show", "Show a network: overview, stages, blocks; in the terminal or as an SVG picture."),
    "diff": ("search.commands.diff", "Compare two networks, down to the edits inside a block."),
    "space": (
        "uninas.commands.space",
        "List published search spaces; sample a published space, or one of your own, and report what its networks cost.",
    ),
    "score": ("search.commands.score", "Score one architecture with zero-cost (training-free) proxies."),
    "search": ("search.commands.search", "Search a space as a configuration file says; resume a run."),
    "sweep": ("search.commands.sweep", "Run several seeds or budgets of a search side by side."),
    "bench": ("search.commands.bench", "Evaluate proxies on networks whose accuracies are known."),
    "truth": ("search.commands.truth", "Train networks of one budget as a ground truth: a table to judge proxies by."),
    "refine": ("downstream.commands.refine", "Train a search's finalists briefly, and compare proxy rank with trained rank."),
    "train": ("downstream.commands.train", "Train an architecture with the protocols of the papers."),
    "evaluate": ("downstream.commands.evaluate", "Evaluate trained weights: accuracy and speed in images/s."),
    "compare": ("downstream.commands.compare", "Compare networks: costs, speed and memory measured here, accuracy from logs."),
    "export": (
        "downstream.commands.export",
        "Export a network, with a model card, for timm, OpenMMLab, torch, ONNX or the UniNAS reference implementation.",
    ),
    "watch": ("search.commands.watch", "Watch a search while it runs, from its files alone, on any machine."),
    "report": ("search.commands.report", "Write the HTML report of a run."),
    "doctor": ("uninas.commands.doctor", "Say what this machine has, what is missing for what, and what mends it."),
    "runs": ("search.commands.runs", "List run folders: kind, state, how far, the best so far."),
}
"""Name -> (module that holds a click command called `command`, one line of help)."""


class _LazyGroup(Subcommands):
    """A group that knows its commands' names and one-line helps without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands' names, without importing any of them."""
        return [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Read the arguments, and print a help that they ask for."""
        with unread():
            return super().make_context(*arguments, **more)
        raise click.exceptions.Exit(0)

    def invoke(self, context: click.Context) -> object:
        """Run a command."""
        with unread():
            return super().invoke(context)
        return None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _print_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from uninas.runtime.version import version

        say(f"uninas {version()}")
        context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version and exit."
)
def program() -> None:
    """Zero-cost (training-free) architecture search in a universal graph space of vision networks.

    \b
    uninas cost coatnet                          print what a network costs
    uninas search demo                           search, score and report
    uninas show runs/demo/best.json              show what was found
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit: 0; 2 for a mistake of the user's; 130 after Ctrl-C; 1 for a fault of ours."""
    ready()
    machine.wait_asleep()
    foreign.warn()  # again, since another distribution may have replaced the file that does so on import
    try:
        result = program.main(args=arguments, prog_name="uninas", standalone_mode=False)
    except InputError as error:
        _fail(str(error), 2)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except click.exceptions.NoArgsIsHelpError as error:  # a group by itself prints its help
        say(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(f"cannot write: {error.strerror}", 2)
        raise
    else:
        sys.exit(result if isinstance(result, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    line = " ".join(message.split())
    say(f"uninas: {line}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
