"""A command that has subcommands: what is none of them is answered with those there are and the nearest."""

from __future__ import annotations

import difflib

import click

from uninas.errors import InputError

__all__ = ["Subcommands"]


class Subcommands(click.Group):
    """A group of click's that knows its commands by `list_commands` and `get_command`, whether they are imported or not."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names.

        Raises:
            InputError: there is none of that name.
        """
        word = args[0]
        known = self.list_commands(ctx)
        if word not in known and not ctx.resilient_parsing and not word.startswith("-"):
            near = difflib.get_close_matches(word, known, 1, cutoff=0.5)
            hint = f", nearest is '{near[0]}'" if near else ""
            raise InputError(f"expected a command of {ctx.command_path} ({', '.join(known)}); got '{word[:80]}'{hint}")
        return super().resolve_command(ctx, args)
